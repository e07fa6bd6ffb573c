# `make quickstart` and `make test` set up what they need in .venv and run; nothing else has to be installed first.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: quickstart real-people test lint clean

quickstart: $(VENV)/installed
	$(RUN) tools/train_net.py --config-file configs/quickstart.yaml

# docs/real_people.md; needs the clips, see there. Given again after a stop it goes on.
PEOPLE = output/real_people
real-people: $(VENV)/installed
	$(RUN) tools/train_net.py --config-file configs/real_people/s3dg.yaml --resume
	$(RUN) tools/publish_model.py $(PEOPLE)/s3dg/model_final.pth $(PEOPLE)/model.pth

test: $(VENV)/installed
	$(RUN) -m pytest

lint: $(VENV)/installed
	$(RUN) -m ruff check .

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) output datasets/synthetic

# `make quickstart` and `make test` set up what they need in .venv and run; nothing else has to be installed first.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: quickstart test lint clean

quickstart: $(VENV)/installed
	$(RUN) tools/train_net.py --config-file configs/quickstart.yaml

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

from setuptools import find_packages, setup

PLOTS = ["matplotlib>=3.7", "scikit-learn>=1.2"]  # of tools/analyze_model.py, filter_stats.py, tsne.py
PARQUET = ["pyarrow>=15"]  # detections as parquet; .npz without it
H264 = ["av>=12"]  # drawn videos that browsers play, where OpenCV cannot write them
EXPORT = ["onnx>=1.18", "onnxscript>=0.5", "onnxruntime>=1.20", "openvino>=2025.0"]  # tools/export.py, --engine
TESTS = ["pytest>=7.4", "pytest-xdist>=3.5", "hypothesis>=6.80", "ruff>=0.6"]

setup(
    name="action-detection",
    version="0.2.0",
    description="Spatio-temporal action detection: S3D-G and I3D networks and the Faster R-CNN on top of them",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["backbones", "backbones.*", "detect", "detect.*"]),
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.24",
        # contrib, because TV-L1 flow lives there; headless, because servers have no screen. One OpenCV per environment.
        "opencv-contrib-python-headless>=4.8",
        "pycocotools>=2.0.7",
        "scipy>=1.10",
        "fvcore>=0.1.5.post20221221",
        "iopath>=0.1.9",
        "yacs>=0.1.8",
        "tabulate>=0.9",
        "PyYAML>=6.0",
        "tensorboard>=2.12",
        "tqdm>=4.60",
        "pillow>=10.1",  # text on pictures, with a font of its own
    ],
    extras_require={
        "plots": PLOTS,
        "parquet": PARQUET,
        "h264": H264,
        "export": EXPORT,
        "test": [*PLOTS, *PARQUET, *H264, *EXPORT, *TESTS],
    },
)

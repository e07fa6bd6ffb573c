"""What `tools/benchmark.py` runs; each benchmark is imported when it is asked for, since some need much."""

import argparse
from pathlib import Path

from detect.benchmarks.sheet import command_line, fill


def benchmark(args: argparse.Namespace) -> None:
    """The benchmark `args.command`. args: as the tool parsed them, since each command has options of its own."""
    if args.command == "roi-pool":
        from detect.benchmarks.roi_pool import benchmark_roi_pool

        benchmark_roi_pool()
    elif args.command in ("networks", "train"):
        from detect.benchmarks.as_met import benchmark_as_met
        from detect.benchmarks.networks import benchmark_networks

        run = benchmark_as_met if args.as_met else benchmark_networks
        options = {"train": args.command == "train", "rounds": args.rounds, "json_file": args.json_file}
        run(tuple(args.size), tuple(args.names), **options, command=command_line())
    elif args.command == "detector":
        from detect.benchmarks.detector import benchmark_detector
        from detect.config import load_cfg

        cfg = load_cfg(args.config_file, args.opts)
        benchmark_detector(cfg, args.regions, rounds=args.rounds, json_file=args.json_file, command=command_line())
    elif args.command == "export":
        from detect.benchmarks.exported import benchmark_exported
        from detect.config import load_cfg

        cfg = load_cfg(args.config_file, args.opts)
        benchmark_exported(cfg, rounds=args.rounds, json_file=args.json_file, command=command_line())
    elif args.command == "gpu":
        from detect.benchmarks.gpu import benchmark_gpu
        from detect.config import load_cfg

        cfg = load_cfg(args.config_file, args.opts)
        options = {"rounds": args.rounds, "compiled": not args.eager, "json_file": args.json_file}
        benchmark_gpu(cfg, args.batch, **options, command=command_line())
    elif args.command == "docs":
        print(f"{args.page}: {', '.join(fill(Path(args.page), Path(args.folder)))}")
    elif args.command == "video":
        from detect.tasks.benchmark_video import benchmark_video

        benchmark_video(**{key: value for key, value in vars(args).items() if key != "command"})
    elif args.command == "evaluation":
        from detect.benchmarks.evaluation import benchmark_evaluation

        benchmark_evaluation(args.scale, json_file=args.json_file)
    elif args.command == "growth":
        from detect.tasks.benchmark_growth import benchmark_growth

        benchmark_growth(**{key: value for key, value in vars(args).items() if key != "command"})
    elif args.command == "data" and args.metrics:
        from detect.benchmarks.data import waiting_share

        print(f"{args.metrics}: waited for data {waiting_share(args.metrics):.1%} of the time")
    elif args.command == "data":
        from detect.benchmarks.data import benchmark_data

        benchmark_data(args.video, args.frames, args.length, tuple(args.size), args.rounds, args.seconds)
    else:
        from detect.benchmarks.frame_ap import benchmark_frame_ap

        benchmark_frame_ap(args.scale, args.preset, args.repeat, args.same_class)

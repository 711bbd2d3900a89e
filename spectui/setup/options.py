"""Options that several commands share."""

from __future__ import annotations

import argparse

from spectui.protocol.limits import MAX_CONCURRENCY, MAX_SPEED, MIN_SPEED
from spectui.setup import values

SPEEDS = f"playback speed, {MIN_SPEED:g} to {MAX_SPEED:g} (1)"


def add_engine_options(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the options of every command that starts engines; ``several`` allows a list of concurrencies."""
    parser.add_argument("--model", default=None, metavar="PATH_OR_ID", help="the target model (the demo model)")
    parser.add_argument(
        "--preset",
        default=None,
        metavar="NAME",
        help="a model with its lanes and engine arguments (list them with: spectui presets)",
    )
    parser.add_argument(
        "--lane",
        action="append",
        default=[],
        metavar="SPEC",
        help="a lane, such as ar, mtp:k=4 or ngram:k=5; repeatable (those found for the model)",
    )
    parser.add_argument("--prompt", default=None, metavar="TEXT", help="use this prompt")
    parser.add_argument(
        "--prompts",
        type=values.path,
        default=None,
        metavar="FILE",
        help="file of prompts: lines, JSON lines, ShareGPT or an OpenAI batch; - reads standard input",
    )
    parser.add_argument("--category", default=None, metavar="NAME", help="only prompts of this category")
    parser.add_argument("--system", default=None, metavar="TEXT", help="a system message for prompts that have none")
    parser.add_argument(
        "--chat-template-arg",
        action="append",
        default=[],
        type=values.template_argument,
        metavar="KEY=VALUE",
        help="a variable for the model's chat template, such as enable_thinking=false; repeatable",
    )
    parser.add_argument(
        "--raw", action="store_true", help="send prompts to the model as they are, without its chat template"
    )
    if several:
        parser.add_argument(
            "--concurrency",
            type=values.concurrencies,
            default=(1,),
            metavar="LIST",
            help="requests in flight, such as 1,4 (1)",
        )
    else:
        parser.add_argument(
            "--concurrency",
            type=values.whole,
            default=1,
            metavar="N",
            help=f"requests in flight, 1 to {MAX_CONCURRENCY} (1)",
        )
    parser.add_argument("--max-tokens", type=values.tokens, default=256, metavar="N", help="tokens per answer (256)")
    parser.add_argument("--temperature", type=values.temperature, default=0.0, metavar="T", help="0 is greedy (0)")
    parser.add_argument(
        "--top-p",
        type=values.top_p,
        default=1.0,
        metavar="P",
        help="sample from the likeliest tokens that reach this probability (1)",
    )
    parser.add_argument(
        "--top-k", type=values.top_k, default=0, metavar="N", help="sample from the N likeliest tokens (all)"
    )
    parser.add_argument("--seed", type=values.seed, default=0, metavar="N", help="seed for sampling (0)")
    parser.add_argument("--ignore-eos", action="store_true", help="always generate --max-tokens tokens")
    parser.add_argument(
        "--engine-arg",
        action="append",
        default=[],
        type=values.key_value,
        metavar="KEY=VALUE",
        help="any vLLM engine argument for every lane, such as quantization=fp8; repeatable",
    )
    parser.add_argument(
        "--no-self-test", action="store_true", help="do not compare the lanes' text with AR's when they start"
    )
    parser.add_argument(
        "--no-share",
        dest="share",
        action="store_false",
        help="load the target's weights once per lane, instead of one copy for all lanes",
    )


def add_drawing(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the options of every command that draws a trace into a file."""
    parser.add_argument("trace", type=values.path, metavar="TRACE", help="a trace written by --record or R")
    parser.add_argument("-o", "--output", type=values.path, default=None, metavar="FILE", help=output)
    parser.add_argument("--size", type=values.size, default=(120, 36), metavar="COLSxROWS", help="cells (120x36)")
    parser.add_argument("--theme", default=None, metavar="NAME", help="colour theme")

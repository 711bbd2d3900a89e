"""What anybody would write to measure vLLM: a job on standard input, then a measurement for each further line."""

import json
import sys
import time

from vllm import LLM, SamplingParams

job = json.loads(sys.stdin.readline())
llm = LLM(**job["engine"])
params = SamplingParams(temperature=0, max_tokens=job["tokens"], ignore_eos=True)
prompts = [{"prompt_token_ids": ids} for ids in job["prompts"]]
llm.generate(prompts, params, use_tqdm=False)
for _ in iter(sys.stdin.readline, ""):
    before = {m.name: m.value for m in llm.get_metrics() if hasattr(m, "value")}
    start = time.perf_counter()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - start
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    counts = {m.name: m.value - before[m.name] for m in llm.get_metrics() if hasattr(m, "value")}
    print("measured", json.dumps({"tokens": tokens, "seconds": seconds, "counts": counts}), flush=True)

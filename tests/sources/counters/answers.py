"""What the three servers answer, in their form and with figures of ours: short excerpts."""

from __future__ import annotations

VLLM = """\
# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79e+09
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="demo"} 3.0
vllm:num_requests_waiting{engine="0",model_name="demo"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="demo"} 0.25
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="demo"} 1200.0
# TYPE vllm:prompt_tokens_created gauge
vllm:prompt_tokens_created{engine="0",model_name="demo"} 1.79e+09
vllm:generation_tokens_total{engine="0",model_name="demo"} 5.0e+03
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="demo"} 12.0
"""

VLLM_DRAFTS = """\
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="demo"} 2000.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="demo"} 5900.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="demo"} 2950.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="demo",position="0"} 1500.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="demo",position="1"} 900.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="demo",position="2"} 550.0
"""

SGLANG = """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 4.0
sglang:num_queue_reqs{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 2.0
sglang:token_usage{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 0.5
sglang:gen_throughput{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 321.5
sglang:spec_accept_length{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 2.75
sglang:spec_accept_rate{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 0.35
sglang:spec_num_steps{engine_type="unified",model_name="demo",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 5.0
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{engine_type="unified",is_streaming="true",model_name="demo"} 700.0
sglang:generation_tokens_total{engine_type="unified",is_streaming="false",model_name="demo"} 300.0
sglang:prompt_tokens_total{engine_type="unified",is_streaming="true",model_name="demo"} 80.0
"""

LLAMA = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 55
# HELP llamacpp:tokens_predicted_total Number of generation tokens processed.
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 640
# TYPE llamacpp:predicted_tokens_seconds gauge
llamacpp:predicted_tokens_seconds 44.5
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
"""

LLAMA_DRAFTS = """\
llamacpp:spec_decode_num_draft_tokens_total 400
llamacpp:spec_decode_num_accepted_tokens_total 300
llamacpp:spec_decode_num_drafts_total 100
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 90
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 80
"""

LLAMA_IDLE = LLAMA_DRAFTS[: LLAMA_DRAFTS.index("llamacpp:spec_decode_num_accepted_tokens_per_pos")].replace("400", "0")


def models(name: str, owner: str) -> dict[str, object]:
    """What ``/v1/models`` answers."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": owner}]}


NO_LLAMA_METRICS = {
    "error": {
        "code": 501,
        "message": "This server does not support metrics endpoint. Start it with `--metrics`",
        "type": "not_supported_error",
    }
}
LLAMA_SLOTS = [{"id": 0, "is_processing": True, "speculative": True}, {"id": 1, "is_processing": False}]
LLAMA_PROPS = {"default_generation_settings": {"params": {"speculative.n_max": 8}}, "build_info": "b7000-abcdef"}
SGLANG_INFO = {
    "version": "0.5.23",
    "speculative_algorithm": "EAGLE",
    "speculative_num_steps": 5,
    "api_key": "never shown",
}

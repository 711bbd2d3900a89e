"""Where events come from: one protocol, many makers (live vLLM, synthetic, replay). Never imports Textual."""

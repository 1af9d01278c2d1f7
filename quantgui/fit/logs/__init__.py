"""Evidence from real runs: logs of llama.cpp and vLLM and the output of nvidia-smi, as people paste them."""

from quantgui.fit.logs.comparison import LogLine, compare_log
from quantgui.fit.logs.parsing import parse_log
from quantgui.fit.logs.reading import LogSize, ParsedLog

__all__ = ["LogLine", "LogSize", "ParsedLog", "compare_log", "parse_log"]

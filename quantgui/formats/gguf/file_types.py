"""The file types people choose for a GGUF file ("Q4_K_M"): its number in the file, and the type it is built on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import UserError


@dataclass(frozen=True, slots=True)
class FileType:
    """One `llama_ftype`: a mixture of tensor types, most of them `base`."""

    name: str
    id: int  # general.file_type
    base: str  # name of the ggml type

    @property
    def is_quantized(self) -> bool:
        """Whether its base shares scales between weights; F32, F16 and BF16 do not."""
        return BY_NAME[self.base].is_quantized


FILE_TYPES: Mapping[str, FileType] = {
    name: FileType(name, number, base)
    for name, number, base in (
        ("F32", 0, "F32"),
        ("F16", 1, "F16"),
        ("BF16", 32, "BF16"),
        ("Q8_0", 7, "Q8_0"),
        ("Q6_K", 18, "Q6_K"),
        ("Q5_K_M", 17, "Q5_K"),
        ("Q5_K_S", 16, "Q5_K"),
        ("Q5_1", 9, "Q5_1"),
        ("Q5_0", 8, "Q5_0"),
        ("Q4_K_M", 15, "Q4_K"),
        ("Q4_K_S", 14, "Q4_K"),
        ("Q4_1", 3, "Q4_1"),
        ("Q4_0", 2, "Q4_0"),
        ("MXFP4_MOE", 38, "MXFP4"),
        ("IQ4_NL", 25, "IQ4_NL"),
        ("IQ4_XS", 30, "IQ4_XS"),
        ("Q3_K_L", 13, "Q3_K"),
        ("Q3_K_M", 12, "Q3_K"),
        ("Q3_K_S", 11, "Q3_K"),
        ("IQ3_M", 27, "IQ3_S"),
        ("IQ3_S", 26, "IQ3_S"),
        ("IQ3_XS", 22, "IQ3_S"),
        ("IQ3_XXS", 23, "IQ3_XXS"),
        ("Q2_K", 10, "Q2_K"),
        ("Q2_K_S", 21, "Q2_K"),
        ("IQ2_M", 29, "IQ2_S"),
        ("IQ2_S", 28, "IQ2_XS"),
        ("IQ2_XS", 20, "IQ2_XS"),
        ("IQ2_XXS", 19, "IQ2_XXS"),
        ("TQ2_0", 37, "TQ2_0"),
        ("TQ1_0", 36, "TQ1_0"),
        ("IQ1_M", 31, "IQ1_M"),
        ("IQ1_S", 24, "IQ1_S"),
    )
}
"""Every file type by name, roughly from the largest to the smallest."""


def file_type(name: str) -> FileType:
    """The file type of a name, case ignored. Raises UserError for an unknown one."""
    found = FILE_TYPES.get(name.upper())
    if found is None:
        raise UserError(f"“{name}” is not a file type of GGUF.", hint=f"One of {', '.join(FILE_TYPES)}.")
    return found

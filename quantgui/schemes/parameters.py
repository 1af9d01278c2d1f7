"""Declared parameters: a method states them once; the window's form and the command line are drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

ParameterValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a method. `choices` empty means free; the type of `default` is the type of the value."""

    name: str  # python identifier, also the command line's --name
    title: str
    help: str  # one line
    default: ParameterValue
    choices: tuple[ParameterValue, ...] = ()
    choice_titles: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    advanced: bool = False
    shapes_scheme: bool = True  # False: a setting of the search or training, not of how the result is stored
    is_file: bool = False  # the value is the path of a file, "" for none
    empty: str = "The bundled text"  # what the field of a file says while it is ""

    def check(self, value: ParameterValue) -> ParameterValue:
        """`value` if allowed. Raises ValueError with one clear sentence otherwise."""
        if isinstance(self.default, bool) is not isinstance(value, bool):
            raise ValueError(f"{self.title} must be {'yes or no' if isinstance(self.default, bool) else 'a value'}.")
        if isinstance(self.default, int) and not isinstance(value, int):
            raise ValueError(f"{self.title} must be a whole number, not {value!r}.")
        if self.choices and value not in self.choices and self.minimum is None:
            raise ValueError(f"{self.title} must be one of {', '.join(map(str, self.choices))}, not {value}.")
        if isinstance(value, int | float):
            if self.minimum is not None and value < self.minimum:
                raise ValueError(f"{self.title} must be at least {self.minimum:g}, not {value}.")
            if self.maximum is not None and value > self.maximum:
                raise ValueError(f"{self.title} must be at most {self.maximum:g}, not {value}.")
        return value

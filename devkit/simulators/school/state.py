"""What the school has and what became of it. In memory; the keys are those of enrolments."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

type Document = dict[str, Any]

CLASSES: list[Document] = [
    {"id": "infantil-manha", "name": "Infantil 5", "shift": "Manhã", "ages": "5 anos", "vacancies": 3},
    {"id": "primeiro-manha", "name": "1º ano", "shift": "Manhã", "ages": "6 anos", "vacancies": 2},
    {"id": "primeiro-tarde", "name": "1º ano", "shift": "Tarde", "ages": "6 anos", "vacancies": 5},
    {"id": "segundo-tarde", "name": "2º ano", "shift": "Tarde", "ages": "7 anos", "vacancies": 0},
]


class Refused(Exception):
    """The school says no."""


@dataclass
class School:
    """Everything the simulator knows."""

    classes: list[Document] = field(default_factory=lambda: deepcopy(CLASSES))
    enrolments: list[Document] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    def offered(self, shift: str | None) -> list[Document]:
        """The classes of a shift, or all."""
        return [one for one in self.classes if shift is None or one["shift"] == shift]

    def vacancies(self, name: str, shift: str) -> int:
        """How many places are left in a class; none in one that there is not."""
        return sum(one["vacancies"] for one in self.offered(shift) if one["name"] == name)

    def enrol(self, key: str, name: str, shift: str, student: Document) -> Document:
        """Takes a place. The same key gets the same enrolment. Raises Refused."""
        if key in self.keys:
            self.keys[key] += 1
            return next(one for one in self.enrolments if one["key"] == key)
        found = next((one for one in self.offered(shift) if one["name"] == name and one["vacancies"]), None)
        if found is None:
            raise Refused(f"there is no place left in {name}, {shift}")
        found["vacancies"] -= 1
        number = f"HZ-{len(self.enrolments) + 1:04}"
        enrolment = {"number": number, "class_id": found["id"], "key": key, "student": student}
        self.enrolments.append(enrolment)
        if key:
            self.keys[key] = 1
        return enrolment

    def as_json(self) -> Document:
        return {"classes": self.classes, "enrolments": self.enrolments, "keys": self.keys}

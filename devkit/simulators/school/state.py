"""Keep the school's classes and enrolments in memory."""

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


class EnrolmentRefused(Exception):
    """The school refuses an enrolment. The text says why."""


@dataclass
class SchoolState:
    """The classes, the enrolments, and how often each Idempotency-Key was received."""

    classes: list[Document] = field(default_factory=lambda: deepcopy(CLASSES))
    enrolments: list[Document] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    def classes_of(self, shift: str | None) -> list[Document]:
        """Return the classes of a shift, or of all shifts."""
        return [each for each in self.classes if shift is None or each["shift"] == shift]

    def vacancies(self, name: str, shift: str) -> int:
        """Return the number of free places in a class. It is 0 for a class that does not exist."""
        return sum(each["vacancies"] for each in self.classes_of(shift) if each["name"] == name)

    def enrol(self, key: str, name: str, shift: str, student: Document) -> Document:
        """Take a place in a class. The same key returns the same enrolment. Raises EnrolmentRefused."""
        if key in self.keys:
            self.keys[key] += 1
            return next(each for each in self.enrolments if each["key"] == key)
        found = next((each for each in self.classes_of(shift) if each["name"] == name and each["vacancies"]), None)
        if found is None:
            raise EnrolmentRefused(f"there is no place left in {name}, {shift}")
        found["vacancies"] -= 1
        number = f"HZ-{len(self.enrolments) + 1:04}"
        enrolment = {"number": number, "class_id": found["id"], "key": key, "student": student}
        self.enrolments.append(enrolment)
        if key:
            self.keys[key] = 1
        return enrolment

    def as_json(self) -> Document:
        """Return everything, for the control endpoint."""
        return {"classes": self.classes, "enrolments": self.enrolments, "keys": self.keys}

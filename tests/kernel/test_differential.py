"""Every mNF, template and the example chain against their models: 10,000 random frames each, in every cut into programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential import FULL, GRANULARITIES, compare
from tests.subjects import SUBJECTS, Subject

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_programs_do_what_the_model_does(subject: Subject, tmp_path: Path) -> None:
    assert compare(subject, tmp_path, seed=1, count=FULL) == FULL * len(GRANULARITIES)

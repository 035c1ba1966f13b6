"""What errors say, as one line."""

import pytest

from dualfocus.messages import ending_in_one_line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.yaml"), "error: a.yaml: No such file or directory"),
        (ValueError("the shares must add up to 1"), "error: the shares must add up to 1"),
    ],
)
def test_a_tool_ends_with_what_its_user_can_mend(error, said):
    with pytest.raises(SystemExit) as ended, ending_in_one_line():
        raise error
    assert ended.value.code == said


def test_a_tool_shows_a_bug_as_it_is():
    with pytest.raises(ZeroDivisionError), ending_in_one_line():
        raise ZeroDivisionError

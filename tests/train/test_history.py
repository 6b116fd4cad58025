import math

import pytest
import torch

from vgan.train.history import COLUMNS, History


def _values(*numbers: float) -> dict[str, torch.Tensor]:
    """A step's figures, by the order of the columns; NaN is left out."""
    named = zip(COLUMNS, numbers, strict=False)
    return {name: torch.tensor(number) for name, number in named if not math.isnan(number)}


def _two_rows() -> History:
    history = History(torch.device("cpu"))
    history.add(_values(1, 2, 0, 1, 8, 9, 0.5))
    history.add(_values(2, 4, 1, 1, 6, 3, 0.25))
    history.close_row(2)
    history.add(_values(1 / 3, 1e-7, 0, 0, 1, 1, torch.nan, 5, 0.125))
    history.note(0.75)
    history.close_row(3)
    return history


def test_rows_are_means_since_the_last_row() -> None:
    assert _two_rows().csv() == (
        "step,loss_d,loss_g,accuracy_real,accuracy_fake,gradient_d,gradient_g,mask,penalty,first_frame,diversity\n"
        "2,1.5,3,0.5,1,7,6,0.375,,,\n3,0.333333,1e-07,0,0,1,1,,5,0.125,0.75\n"
    )


def test_figures_by_name_without_the_unknown() -> None:
    history = History(torch.device("cpu"))
    history.add(_values(1, 2, 3, 4, 5, 6))
    assert history.close_row(1) == dict(zip(COLUMNS[:-4], [1, 2, 3, 4, 5, 6], strict=True))


@pytest.mark.parametrize("name", COLUMNS[:6])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_sees_what_is_not_finite_until_the_row_ends(bad: float, name: str) -> None:
    history = History(torch.device("cpu"))
    history.add({**_values(1, 1, 0, 0, 0, 0), name: torch.tensor(bad)})
    history.add(_values(1, 1, 0, 0, 0, 0))
    assert not history.finite()
    history.close_row(2)
    assert history.finite()
    history.add(_values(1, 1, 0, 0, 0, 0))
    assert history.finite()


def test_comes_back_within_a_row() -> None:
    history = _two_rows()
    history.add(_values(5, 6, 7, 8, 9, 10))
    history.note(0.5)
    copy = History(torch.device("cpu"))
    copy.restore({name: tensor.clone() for name, tensor in history.tensors().items()})
    for each in (history, copy):
        each.add(_values(6, 7, 8, 9, 10, 11))
        each.close_row(5)
    assert copy.csv() == history.csv()
    assert history.csv().endswith("\n5,5.5,6.5,7.5,8.5,9.5,10.5,,,,0.5\n")


def test_on_a_cpu_divergence_is_known_at_once() -> None:
    history = History(torch.device("cpu"))
    history.add(_values(1, 1, 0, 0, 0, 0))
    assert not history.diverged()
    history.add(_values(1, 1, 0, 0, 0, torch.inf))
    assert history.diverged()


def test_recent_rows_are_averaged_each_figure_where_it_is_known() -> None:
    history = _two_rows()
    assert history.recent(2) == pytest.approx(
        dict(zip([*COLUMNS[:6], *COLUMNS[7:]], [1 / 3, 1e-7, 0, 0, 1, 1, 5, 0.125, 0.75], strict=True))
    )
    both = history.recent(1)
    assert [both["loss_g"], both["mask"]] == pytest.approx([1.5, 0.375])
    assert history.recent(3) == {}


def test_empty_history() -> None:
    history, copy = History(torch.device("cpu")), _two_rows()
    copy.restore(history.tensors())
    assert copy.csv() == history.csv() == "step," + ",".join(COLUMNS) + "\n"

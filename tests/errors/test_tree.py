"""The error tree keeps what it knows wherever an error travels."""

import pickle

import pytest

from yivideo_pipeline.errors.tree import ErrorContext, ErrorType, MemoryExhausted, WhisperXError, YivideoError


def every_class(root=YivideoError):
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:  # commands and tests have some of their own
            yield from every_class(child)


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.__name__)
def test_an_error_survives_pickling(cls):
    error = cls("What happened", "What to do", ErrorContext("a/b.mp4", "transcript", 12.5))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert (copy.message, copy.hint, copy.context) == (error.message, error.hint, error.context)
    assert str(copy) == "What happened. What to do"


def test_exhausted_memory_says_whose_even_after_pickling_and_with_context():
    error = MemoryExhausted("Full", device="gpu").within(video="a.mp4")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.device, copy.context.video) == ("gpu", "a.mp4")
    assert MemoryExhausted("Full").device == "host"


def test_context_that_is_known_is_not_overwritten():
    error = YivideoError("x", context=ErrorContext(video="first.mp4")).within(
        video="second.mp4", stage="audio"
    )
    assert error.context == ErrorContext("first.mp4", "audio", None)


def test_a_secret_in_a_message_or_hint_is_never_kept():
    error = YivideoError("No access with hf_Ab1Cd2Ef3Gh4Ij5Kl6", "Try https://me:pw@hub.example/x")
    assert "hf_Ab1" not in repr(error)
    assert "pw@" not in repr(error)


def test_the_types_are_the_kinds_of_the_tree():
    assert set(ErrorType) == {cls.kind for cls in every_class()}


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.__name__)
def test_a_kind_is_plain_text_that_any_serializer_accepts(cls):
    assert type(cls.kind) is str


def test_the_contracts_types_and_base_class_are_there():
    names = ("system", "memory", "disk", "model", "model_load", "model_inference", "config",
             "config_validation", "task", "task_timeout", "task_cancelled")  # fmt: skip
    assert [ErrorType(name).value for name in names] == list(names)
    assert MemoryExhausted.kind == ErrorType.MEMORY
    with pytest.raises(WhisperXError):
        raise MemoryExhausted("Full")

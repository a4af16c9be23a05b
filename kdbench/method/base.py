"""The base class of every distillation method."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from kdbench.errors import MethodError
from kdbench.method import source
from kdbench.method.context import BuildContext
from kdbench.method.needs import Needs
from kdbench.method.step import Step


class Method(nn.Module):
    """Base class of every distillation method.

    Subclasses set ``family`` and ``needs``, may declare ``Params``, and implement :meth:`loss`. ``name``
    defaults to the class name in lower case. Hyper-parameters default to the values of the paper or its
    reference implementation.

    ``needs`` may be a property if it depends on ``self.params``.
    """

    plugin_hook: ClassVar[str] = "kdbench_methods"
    name: ClassVar[str] = ""
    family: ClassVar[str] = "other"
    if TYPE_CHECKING:  # so that a subclass may override it by an attribute or by a property

        @property
        def needs(self) -> Needs:
            """What the method reads."""
            raise NotImplementedError

    else:
        needs = Needs()

    class Params(BaseModel):
        """Hyper-parameters of the method.

        They are a pydantic model, so that a suite's values are checked before anything trains.

        Numbers are finite unless a field says ``Field(allow_inf_nan=True)``.
        """

        model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")

    params: Any
    _source_digest: ClassVar[str]
    _source_text: ClassVar[str | None]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    def __init__(self, params: BaseModel | None = None) -> None:
        super().__init__()
        self.params = params if params is not None else self.Params()

    def build(self, context: BuildContext) -> None:
        """Create adapters, memory banks and peers.

        It is called once, before the first step. By default it creates nothing.
        """

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Return named scalar loss terms, already weighted.

        Their sum is minimised, and each is logged.
        """
        raise MethodError(f'method "{self.name}" does not implement loss(step)')

    def deploy(self, student: nn.Module) -> nn.Module:
        """Return the network that is evaluated and profiled.

        By default it is the student; a method that changes the student overrides this.
        """
        return student

    @classmethod
    def describe(cls) -> str:
        """Return the first line of the docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]

    @classmethod
    def source(cls) -> str | None:
        """Return the source that defines the method, or ``None`` if it is not available.

        It is the module of a class from a file, or the class statement of one from a notebook.
        """
        return cls._source_text if "_source_text" in cls.__dict__ else source.text_of(cls)

    @classmethod
    def source_digest(cls) -> str:
        """Return a digest of the source of the method, its bases and its helper modules.

        It covers the modules that these classes come from and everything that they import from the same
        package (or, for a single file, the same folder), or the definitions of a notebook. The digest of
        files is computed only once, because editing a file later does not change what was imported.
        """
        if "_source_digest" in cls.__dict__:
            return cls._source_digest
        found = source.digest_of(cls._own_classes())
        if source.is_from_file(cls):
            cls._source_digest = found
        return found

    @classmethod
    def keep_source(cls, text: str | None, digest: str) -> None:
        """Set what :meth:`source` and :meth:`source_digest` return.

        The values come from the process that sent the class.
        """
        cls._source_text, cls._source_digest = text, digest

    @classmethod
    def has_source(cls, recorded: str) -> bool:
        """Return whether a recorded digest may belong to this source.

        A digest of an unknown scheme may belong to any source.
        """
        scheme = source.scheme_of(recorded)
        if scheme == "1":
            return recorded == source.first_digest_of([k for k in cls._own_classes() if issubclass(k, Method)])
        return scheme != source.SCHEME or recorded == cls.source_digest()

    @classmethod
    def is_installed(cls) -> bool:
        """Return whether the method comes from an installed distribution.

        The built-in methods do; methods from a file or a notebook do not.
        """
        return source.is_installed(cls)

    @classmethod
    def _own_classes(cls) -> list[type]:
        """Return the class and its bases below :class:`Method`.

        Mixins from installed packages are left out.
        """
        bases = [k for k in cls.__mro__ if k not in Method.__mro__]
        return [k for k in bases if issubclass(k, Method) or not source.is_installed(k)]

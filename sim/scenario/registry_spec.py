"""`spec.registry`: how the embedded registry is guarded."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sim.oci.registry import BasicAuth, TokenAuth
from sim.scenario.quantities import Text
from sim.scenario.strict import Strict


class Login(Strict):
    """Who may pull and push."""

    username: Text = Field(description="The user's name; it has no colon", examples=["robot"])
    password: Text = Field(description="The user's password")

    @model_validator(mode="after")
    def _no_colon(self) -> Self:
        if ":" in self.username:
            raise PydanticCustomError(
                "username",
                "{name} has a colon, which ends the name in a pull secret; leave it out",
                {"name": repr(self.username), "path": ("username",)},
            )
        return self


class RegistryAuth(Strict):
    """By which scheme the registry wants to see who asks."""

    basic: Login | None = Field(default=None, description="HTTP basic: each request carries the password")
    token: Login | None = Field(
        default=None, description="Bearer tokens, which the registry's own realm gives for the password"
    )

    @model_validator(mode="after")
    def _one_scheme(self) -> Self:
        if (self.basic is None) == (self.token is None):
            raise PydanticCustomError("one_of", "a registry has one scheme; write basic or token")
        return self

    @property
    def login(self) -> Login:
        login = self.basic or self.token
        assert login is not None
        return login

    def guard(self) -> BasicAuth | TokenAuth:
        """The registry's end of it."""
        kind = BasicAuth if self.basic is not None else TokenAuth
        return kind(self.login.username, self.login.password)


class RegistrySpec(Strict):
    """The embedded registry, open to all and without TLS unless told otherwise. A scenario's own pushes always may."""

    auth: RegistryAuth | None = Field(default=None, description="Whom it serves; everybody unless told otherwise")
    tls: bool = Field(
        default=False, description="TLS with a certificate by a private CA, made for the run, which the agents trust"
    )

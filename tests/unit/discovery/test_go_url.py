"""`normalise_url` against what Go's url.Parse and String gave for the same text, `oci` as the default scheme."""

from __future__ import annotations

import pytest

from sim.discovery.plugins import normalise_url

PARSED = {
    "": "oci:",
    "hub.example.com/team/block:1.0": "oci://hub.example.com/team/block:1.0",
    "/abs/path": "oci:///abs/path",
    "//host/path": "oci://host/path",
    "///p": "oci://///p",
    "registry:5000/p:1": "registry:5000/p:1",
    "registry.local:5000/p:1": "registry.local:5000/p:1",
    "host:p/x y": "host:p/x y",
    "./a:b/c": "oci://./a:b/c",
    "a b/c": "oci://a%20b/c",
    "a/b#c": "oci://a/b#c",
    "host/p?x=1": "oci://host/p?x=1",
    "*": "oci://*",
    "?x": "oci:?x",
    "#f": "oci:#f",
    "OCI://Host/Path:1": "oci://Host/Path:1",
    "FILE:///opt/p.wasm": "file:///opt/p.wasm",
    "file:///opt/plugin.wasm": "file:///opt/plugin.wasm",
    "file://opt/p": "file://opt/p",
    "http:": "http:",
    "http:opaque": "http:opaque",
    "http://h/p?a=b c": "http://h/p?a=b c",
    "http://h/p?插": "http://h/p?插",
    "oci:p": "oci:p",
    "oci:/p": "oci:/p",
    "oci:///p": "oci:///p",
    "oci://host": "oci://host",
    "oci://host?x": "oci://host?x",
    "oci://host:/p": "oci://host:/p",
    "oci://:5000/p": "oci://:5000/p",
    "oci://host/p@sha256:abc": "oci://host/p@sha256:abc",
    "oci://host/p q": "oci://host/p%20q",
    "oci://host/p%20q": "oci://host/p%20q",
    "oci://host/a%2Fb": "oci://host/a%2Fb",
    "oci://host/插件:1": "oci://host/%E6%8F%92%E4%BB%B6:1",
    "oci://插件.example/p": "oci://%E6%8F%92%E4%BB%B6.example/p",
    "oci://%e6x.example/p": "oci://%E6x.example/p",
    'oci://host/a"b': "oci://host/a%22b",
    "oci://host/a|b": "oci://host/a%7Cb",
    "oci://host/a[b]": "oci://host/a[b]",
    "oci://host/a;b,c=d+e$f&g!h'i(j)k*l~m": "oci://host/a;b,c=d+e$f&g!h'i(j)k*l~m",
    "oci://h/{a}^`<>": "oci://h/%7Ba%7D%5E%60%3C%3E",
    "oci://h/p?": "oci://h/p?",
    "oci://h/p#": "oci://h/p",
    "oci://h/p?q#": "oci://h/p?q",
    "oci://h/p?a#b?c": "oci://h/p?a#b?c",
    "oci://h/p#frag": "oci://h/p#frag",
    "oci://host/p#a b": "oci://host/p#a%20b",
    "oci://host/p#\n": "oci://host/p#%0A",
    "oci://user@h/p": "oci://user@h/p",
    "oci://user:@h/p": "oci://user:@h/p",
    "oci://@h/p": "oci://@h/p",
    "oci://user:pa@host/p": "oci://user:pa@host/p",
    "oci://us%20er:p%3aw@h/p": "oci://us%20er:p%3Aw@h/p",
    "oci://a@b@c/p": "oci://a%40b@c/p",
    "oci://[::1]:5000/p": "oci://[::1]:5000/p",
    "oci://[fe80::1]/p": "oci://[fe80::1]/p",
    "oci://[::1%25eth0]/p": "oci://[::1%25eth0]/p",
}

REFUSED = [
    "127.0.0.1:5000/p:1",
    "my_registry:5000/p",
    "1a:b",
    "-x:y",
    ":foo",
    "a\tb",
    "oci://host/p\n",
    "oci://host/p%zz",
    "oci://h/%",
    "oci://h/p#%zz",
    "oci://u%zz@h/p",
    "oci://us er@host/p",
    "oci://ho st/p",
    "oci://h%41st/p",
    "oci://host:abc/p",
    "oci://h:5000x/p",
    "oci://[::1/p",
]


@pytest.mark.parametrize("url", PARSED)
def test_a_url_is_left_as_go_leaves_it(url: str) -> None:
    assert normalise_url(url) == PARSED[url]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_go_cant_parse_has_no_form(url: str) -> None:
    assert normalise_url(url) is None

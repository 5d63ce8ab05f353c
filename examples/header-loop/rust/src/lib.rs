//! Sets a header of the request, reads it and takes it away again, twenty times over. It is there to be measured.

use proxy_wasm::hostcalls::log;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

const ROUNDS: usize = 20;
const NAME: &str = "x-header-loop";
const VALUE: &str = "there and back";

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(HeaderLoop));
}}

struct HeaderLoop;

impl Context for HeaderLoop {}

impl HttpContext for HeaderLoop {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        for _ in 0..ROUNDS {
            self.set_http_request_header(NAME, Some(VALUE));
            let found = self.get_http_request_header(NAME);
            if found.as_deref() != Some(VALUE) {
                let _ = log(LogLevel::Error, &format!("the header reads {found:?}"));
            }
            self.remove_http_request_header(NAME);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-header-loop-version", Some("rust"));
        Action::Continue
    }
}

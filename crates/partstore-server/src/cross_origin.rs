//! Requests that a page of another origin makes, which its browser asks about before and after.

use hyper::Response;
use hyper::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN,
};
use hyper::http::request::Parts;
use partstore_tokio::AsyncPartStore;

use crate::cors::{self, Rule};
use crate::rules::Rules;

/// What the browser says.
pub struct Asked {
    origin: String,
    method: String,
    /// Of a preflight: the headers that the request will have.
    headers: Option<String>,
}

impl Asked {
    /// `None` if no page of another origin is behind the request.
    pub fn of(head: &Parts) -> Option<Self> {
        let text = |name: HeaderName| head.headers.get(name)?.to_str().ok().map(str::to_owned);
        let origin = text(ORIGIN)?;
        let is_preflight = head.method == hyper::Method::OPTIONS;
        Some(Self {
            origin,
            method: if is_preflight {
                text(ACCESS_CONTROL_REQUEST_METHOD)?
            } else {
                head.method.as_str().to_owned()
            },
            headers: is_preflight.then(|| text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default()),
        })
    }

    fn is_allowed_by(&self, rule: &Rule) -> bool {
        let headers = self.headers.as_deref().unwrap_or_default();
        rule.allows(&self.origin, &self.method) && rule.allows_headers(headers)
    }
}

/// What is asked, and the rule that allows it.
pub struct Allowed {
    asked: Asked,
    rule: Rule,
}

/// The first rule of the server, or else of the bucket, that allows what is asked. Pages of `--cors-origin` may read the
/// headers `exposed`.
pub async fn find(
    (store, rules): (&AsyncPartStore, &Rules),
    exposed: &[&str],
    asked: Option<Asked>,
    bucket: Option<String>,
) -> Option<Allowed> {
    let asked = asked?;
    let origins = rules.cors_origins.iter();
    let mut everywhere = origins.map(|origin| Rule::everything(origin, exposed));
    if let Some(rule) = everywhere.find(|rule| asked.is_allowed_by(rule)) {
        return Some(Allowed { asked, rule });
    }
    let bucket = bucket?;
    let own = store.run(move |store| cors::load(store, &bucket)).await;
    let mut own = own.ok()??.rules.into_iter();
    let rule = own.find(|rule| asked.is_allowed_by(rule))?;
    Some(Allowed { asked, rule })
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl Allowed {
    /// Lets the page read an answer.
    pub fn let_read<B>(&self, response: &mut Response<B>) {
        let Self { asked, rule } = self;
        let response = response.headers_mut();
        let origin = rule.answered_origin(&asked.origin);
        set(response, "access-control-allow-origin", origin);
        if !rule.exposed.is_empty() {
            let exposed = rule.exposed.join(", ");
            set(response, "access-control-expose-headers", &exposed);
        }
        set(response, "vary", "Origin");
        let Some(headers) = &asked.headers else {
            return;
        };
        set(
            response,
            "access-control-allow-methods",
            &rule.methods.join(", "),
        );
        if !headers.is_empty() {
            set(response, "access-control-allow-headers", headers);
        }
        if let Some(seconds) = rule.max_age {
            set(response, "access-control-max-age", &seconds.to_string());
        }
    }
}

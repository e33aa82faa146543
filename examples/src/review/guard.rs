//! Who may ask: pages of this server on this machine, opened under the address with the token.

use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use sam_core::hexadecimal;
use subtle::ConstantTimeEq;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Knows who may ask. Not to be printed: it holds the token.
pub(super) struct Guard {
    token: String,
    /// The names under which a browser on this machine reaches the server.
    hosts: [String; 2],
}

impl Guard {
    /// A guard with a token of its own, from the system's randomness.
    pub(super) fn new(address: SocketAddr) -> Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
        let port = address.port();
        Ok(Self { token: hexadecimal(&bytes), hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")] })
    }

    /// Where all that may be asked for lies: `/TOKEN/`.
    pub(super) fn prefix(&self) -> String {
        format!("/{}/", self.token)
    }

    /// The page's address.
    pub(super) fn address(&self) -> String {
        format!("http://{}{}", self.hosts[0], self.prefix())
    }

    /// Refuses whoever may not ask, and says why.
    ///
    /// Another host name is a foreign page whose name was made to lead to this machine; another origin is a page from elsewhere.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let host = only(headers, &header::HOST);
        if !self.hosts.iter().any(|known| host == Some(known))
            || uri.authority().is_some_and(|named| host != Some(named.as_str()))
        {
            return Err((StatusCode::MISDIRECTED_REQUEST, "this server answers under its own address only"));
        }
        let is_foreign = |origin: &str| origin.strip_prefix("http://") != host;
        if headers.contains_key(header::ORIGIN) && only(headers, &header::ORIGIN).is_none_or(is_foreign) {
            return Err((StatusCode::FORBIDDEN, "pages from elsewhere may not ask"));
        }
        let token = uri.path().split('/').nth(1).unwrap_or_default();
        if !bool::from(token.as_bytes().ct_eq(self.token.as_bytes())) {
            return Err((
                StatusCode::FORBIDDEN,
                "open the address that the program printed: its token is missing here or wrong",
            ));
        }
        Ok(())
    }
}

/// The value of a header that was sent exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let guard = || Guard::new(SocketAddr::from(([127, 0, 0, 1], 80))).expect("randomness");
        let [one, other] = [guard(), guard()];
        assert_eq!(one.token.len(), 2 * TOKEN_BYTES);
        assert_ne!(one.token, other.token);
        assert!(one.address().starts_with("http://127.0.0.1:80/"), "{}", one.address());
    }
}

//! The destinations that keys may be shown to.

use std::net::Ipv4Addr;

use http::header::{HOST, HeaderMap};
use http::uri::{Authority, Scheme, Uri};

use super::error::ApiError;

/// The scheme, the host and the port of a request.
#[derive(Debug)]
pub(super) struct Destination {
    scheme: String,
    /// In lower case.
    host: String,
    /// `Err` with its text if it is no port.
    port: Result<Option<u16>, String>,
    pub(super) has_user_info: bool,
}

impl Destination {
    pub(super) fn from_uri<E>(uri: &Uri) -> Result<Self, ApiError<E>> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ApiError::NotAbsolute);
        };
        let host = authority.host();
        let address = authority.as_str();
        let address = address.rsplit_once('@').map_or(address, |(_, address)| address);
        // Deliberately not `Authority::port`, which has none where the number is too large.
        let port =
            match address.strip_prefix(host).map(|rest| rest.strip_prefix(':').unwrap_or(rest)) {
                Some("") => Ok(None),
                Some(port) => port.parse().map(Some).map_err(|_| port.to_owned()),
                None => Err(address.to_owned()),
            };
        Ok(Self {
            // Deliberately in its case: connectors take only the scheme in lower case for `https`.
            scheme: scheme.as_str().to_owned(),
            host: host_name(host)?,
            port,
            has_user_info: authority.as_str().contains('@'),
        })
    }

    #[cfg(feature = "reqwest")]
    pub(super) fn from_url<E>(url: &reqwest::Url) -> Result<Self, ApiError<E>> {
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host: host_name(url.host_str().unwrap_or_default())?,
            port: Ok(url.port()),
            has_user_info: !url.username().is_empty() || url.password().is_some(),
        })
    }

    /// Returns whether the host is this machine, by its name.
    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<Ipv4Addr>();
        self.host == "localhost"
            || self.host == "[::1]"
            || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Returns a host in lower case, as hosts are compared.
fn host_name<E>(host: &str) -> Result<String, ApiError<E>> {
    if host.is_empty() {
        return Err(ApiError::NotAbsolute);
    }
    Ok(host.to_ascii_lowercase())
}

/// The destinations that keys are shown to.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// In lower case; every host without it.
    pub(super) host: Option<String>,
    /// The default port of the scheme without it.
    pub(super) port: Option<u16>,
    pub(super) allows_loopback: bool,
    pub(super) allows_plain_http: bool,
}

impl Rules {
    /// Checks that a key may be shown to `destination`, in a request with these `headers`.
    pub(super) fn check<E>(
        &self,
        destination: &Destination,
        headers: &HeaderMap,
    ) -> Result<(), ApiError<E>> {
        if destination.has_user_info {
            return Err(ApiError::UserInfo);
        }
        self.check_host(destination)?;
        check_header(destination, headers)?;
        let is_https = destination.scheme == Scheme::HTTPS.as_str();
        let is_http = destination.scheme == Scheme::HTTP.as_str();
        let is_local = self.allows_loopback && destination.is_loopback();
        if !(is_https || is_http && (is_local || self.allows_plain_http)) {
            return Err(ApiError::Scheme { found: destination.scheme.clone() });
        }
        let default = if is_https { 443 } else { 80 };
        let expected = self.port.unwrap_or(default);
        match &destination.port {
            Ok(port) if is_local || port.unwrap_or(default) == expected => Ok(()),
            Ok(port) => {
                Err(ApiError::Port { expected, found: port.unwrap_or(default).to_string() })
            }
            Err(text) => Err(ApiError::Port { expected, found: text.clone() }),
        }
    }

    fn check_host<E>(&self, destination: &Destination) -> Result<(), ApiError<E>> {
        match &self.host {
            Some(expected) if *expected != destination.host => Err(ApiError::OtherHost {
                expected: expected.clone(),
                found: destination.host.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// Checks that a `Host` header names the host of the URL: the server behind an address may pass
/// the request on to the host of the header.
fn check_header<E>(destination: &Destination, headers: &HeaderMap) -> Result<(), ApiError<E>> {
    for header in headers.get_all(HOST) {
        let found = header.to_str().unwrap_or("no ASCII");
        let named = found.parse::<Authority>();
        let is_same = named.is_ok_and(|named| {
            named.host().eq_ignore_ascii_case(&destination.host) && !found.contains('@')
        });
        if !is_same {
            let (expected, found) = (destination.host.clone(), found.to_owned());
            return Err(ApiError::OtherHost { expected, found });
        }
    }
    Ok(())
}

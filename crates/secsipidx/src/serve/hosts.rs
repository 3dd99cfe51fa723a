//! Whom a request means to ask, and for whom: a web page must not reach the service through its reader's
//! browser, whether as a foreign page (Origin) or under a name that it made point here (DNS rebinding).

use super::api;
use super::app::Answer;
use super::settings::{Settings, host_of};
use super::tls;
use hyper::header::{self, HeaderMap};
use hyper::{StatusCode, Uri};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use stir::{Code, Error};

/// The names that the service goes by, in lower case.
pub struct Hosts {
    http: Names,
    https: Names,
    /// Its certificate names the HTTPS listener too.
    certificate: OnceLock<Arc<tls::Current>>,
}

struct Names {
    /// Without ports.
    hosts: Vec<String>,
    /// As configured: `name` or `name:port`, which may be those of a proxy.
    configured: Vec<String>,
}

impl Hosts {
    /// The names of these settings, and of this machine.
    pub fn new(settings: &Settings) -> Self {
        let http = settings.http.as_ref().map(|http| (&http.listen, &http.names));
        let https = settings.https.as_ref().map(|https| (&https.listen, &https.names));
        Self { http: Names::new(http), https: Names::new(https), certificate: OnceLock::new() }
    }

    /// The certificate that the HTTPS listener shows.
    pub fn show(&self, certificate: Arc<tls::Current>) {
        // There is one HTTPS listener.
        let _ = self.certificate.set(certificate);
    }

    /// Why this request is not answered.
    pub fn refuses(&self, tls: bool, uri: &Uri, headers: &HeaderMap) -> Option<Answer> {
        let names = if tls { &self.https } else { &self.http };
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let host = header(header::HOST).map(|host| host.to_ascii_lowercase());
        // A proxy's form of a request names the host in its first line too (RFC 9112 §3.2.2).
        let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
        for asked in host.iter().chain(&authority) {
            if !self.knows(tls, names, host_of(asked)) {
                let section = if tls { "https" } else { "http" };
                let why = format!(
                    "this service does not go by the name {asked:?}: ask it by its address, or add the name to {section}.names"
                );
                return Some(refused(StatusCode::MISDIRECTED_REQUEST, &why));
            }
        }
        let origin = header(header::ORIGIN)?.to_ascii_lowercase();
        let own = |origin: &str| {
            host.as_deref() == Some(origin) || names.configured.iter().any(|name| name == origin)
        };
        // Without TLS there may be a proxy in front that has it.
        let site = match origin.strip_prefix("https://") {
            None if !tls => origin.strip_prefix("http://"),
            site => site,
        };
        let foreign = || {
            let why = "this service does not answer pages of other sites (Origin)";
            refused(StatusCode::FORBIDDEN, why)
        };
        (!site.is_some_and(own)).then(foreign)
    }

    fn knows(&self, tls: bool, names: &Names, host: &str) -> bool {
        // No name server can make an address point elsewhere.
        host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || names.hosts.iter().any(|name| name == host)
            || (tls && self.certificate.get().is_some_and(|current| current.is_for(host)))
    }
}

fn refused(status: StatusCode, why: &str) -> Answer {
    api::failed(status, &Error::new(Code::Generic, why))
}

impl Names {
    fn new(listener: Option<(&String, &Vec<String>)>) -> Self {
        let lower = |text: &str| text.to_ascii_lowercase();
        let mut hosts = vec!["localhost".to_owned()];
        hosts.extend(nix::unistd::gethostname().ok().and_then(|name| Some(lower(name.to_str()?))));
        let Some((listen, names)) = listener else { return Self { hosts, configured: Vec::new() } };
        hosts.push(lower(host_of(listen)));
        hosts.extend(names.iter().map(|name| lower(host_of(name))));
        hosts.retain(|name| !name.is_empty());
        Self { hosts, configured: names.iter().map(|name| lower(name)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Http, Https};
    use super::*;

    #[test]
    fn names_and_origins_of_the_service_and_others() {
        let names = vec!["Stir.example.org".to_owned(), "proxy.example.org:8443".to_owned()];
        let http = Http { listen: "sbc.lab:8090".into(), status_page: true, names };
        let https = Https {
            listen: ":8443".into(),
            certificate: "c".into(),
            key: "k".into(),
            client_ca: None,
            client_crl: None,
            status_page: true,
            names: vec!["tls.example.org".to_owned()],
        };
        let settings = Settings { http: Some(http), https: Some(https), ..Settings::default() };
        let hosts = Hosts::new(&settings);
        let status = |tls, uri: &str, host: Option<&str>, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                headers.extend(value.map(|value| (name, value.parse().unwrap())));
            }
            let refused = hosts.refuses(tls, &uri.parse().unwrap(), &headers);
            refused.map_or(200, |answer| answer.status().as_u16())
        };
        for (host, expected) in [
            ("127.0.0.1:8090", 200),
            ("127.0.0.1", 200),
            ("[::1]:8090", 200),
            ("192.0.2.7", 200),
            ("localhost:8090", 200),
            ("LOCALHOST", 200),
            ("sbc.lab:8090", 200),
            ("stir.example.org", 200),
            ("stir.example.org.:8090", 200),
            ("proxy.example.org", 200),
            ("evil.example", 421),
            ("evil.example:8090", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example", 421),
            ("tls.example.org", 421),
            ("127.0.0.1@evil.example", 421),
            ("evil", 421),
            ("", 421),
        ] {
            assert_eq!(status(false, "/", Some(host), None), expected, "{host}");
        }
        assert_eq!(status(false, "/", None, None), 200, "HTTP/1.0");
        assert_eq!(status(true, "/", Some("tls.example.org"), None), 200);
        assert_eq!(status(true, "/", Some("stir.example.org"), None), 421);
        assert_eq!(status(false, "http://evil.example/v1/verify", Some("localhost"), None), 421);
        for (tls, host, origin, expected) in [
            (false, "127.0.0.1:8090", "http://127.0.0.1:8090", 200),
            (false, "stir.example.org", "https://stir.example.org", 200),
            (false, "127.0.0.1:8090", "https://proxy.example.org:8443", 200),
            (false, "127.0.0.1:8090", "https://proxy.example.org", 403),
            (false, "127.0.0.1:8090", "http://127.0.0.1:3000", 403),
            (false, "127.0.0.1:8090", "http://127.0.0.1", 403),
            (false, "127.0.0.1:8090", "http://localhost:8090", 403),
            (false, "127.0.0.1:8090", "https://evil.example", 403),
            (false, "127.0.0.1:8090", "null", 403),
            (false, "127.0.0.1:8090", "", 403),
            (false, "127.0.0.1:8090", "127.0.0.1:8090", 403),
            (true, "127.0.0.1:8443", "https://127.0.0.1:8443", 200),
            (true, "127.0.0.1:8443", "http://127.0.0.1:8443", 403),
        ] {
            assert_eq!(status(tls, "/", Some(host), Some(origin)), expected, "{host} {origin}");
        }
    }
}

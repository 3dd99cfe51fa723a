//! Which URLs certificates are fetched from (ATIS-1000074 §5.3.1, RFC 6890).

use crate::error::{Code, Error, Result};
use ipnet::IpNet;
use reqwest::Url;
use std::net::{IpAddr, Ipv6Addr};

const HTTPS: &str = "https://";
/// Ports that certificates are fetched from.
const PORTS: [u16; 2] = [443, 8443];
/// Most entries of a list: each is compared with every new URL.
const MAX_ENTRIES: usize = 1024;

/// Blocks whose addresses are nobody's server in the Internet (IANA's special-purpose registries,
/// RFC 6890), and multicast.
const SPECIAL: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
];
/// The only IPv6 addresses that are given out for use in the Internet.
const GLOBAL_V6: &str = "2000::/3";

/// Hosts and addresses that may be asked for certificates, and those that may not.
#[derive(Clone, Debug, Default)]
pub struct X5uRules {
    /// Whether the rules of ATIS-1000074 hold: https, port 443 or 8443, nothing but a path, no
    /// special-purpose address.
    strict: bool,
    permit: List,
    deny: List,
}

/// Host patterns (`certs.example.com`, `*.example.com`) and networks (`10.0.0.0/8`, an address).
#[derive(Clone, Debug, Default)]
struct List {
    hosts: Vec<String>,
    networks: Vec<IpNet>,
}

impl X5uRules {
    /// Rules from lists of host patterns and networks, separated by commas or white space. A
    /// network in `permit` is fetched from although it is special-purpose; once `permit` names a
    /// host, no other is asked. `deny` outweighs `permit`.
    ///
    /// # Errors
    /// [`Code::Generic`], with the entry that is neither.
    pub fn new(strict: bool, permit: &str, deny: &str) -> Result<Self> {
        Ok(Self {
            strict,
            permit: List::parse("x5u_permit", permit)?,
            deny: List::parse("x5u_deny", deny)?,
        })
    }

    /// Refuses a URL for what it says, before anything is looked up.
    ///
    /// # Errors
    /// [`Code::HttpUrl`].
    pub fn check(&self, url: &str) -> Result<()> {
        let wrong = |why: &str| {
            Err(Error::new(
                Code::HttpUrl,
                format!("x5u \"{}\" is not fetched: {why}", url.escape_debug()),
            ))
        };
        let parsed = match Url::parse(url) {
            Ok(parsed) => parsed,
            Err(e) => return wrong(&format!("it is no URL: {e}")),
        };
        if self.strict {
            // As it is written: URL libraries mend more than they should.
            let authority = match url.split_at_checked(HTTPS.len()) {
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case(HTTPS) => {
                    rest.split(['/', '?', '#']).next().unwrap_or_default()
                }
                _ => return wrong("it is not https://"),
            };
            if authority.is_empty() {
                return wrong("it names no host");
            }
            if !url.bytes().all(|c| c.is_ascii_graphic() && c != b'\\') {
                return wrong("it has a character in it that a URL must escape");
            }
            if authority.contains('@') {
                return wrong("it has a user in it");
            }
            if !parsed.port().is_none_or(|port| PORTS.contains(&port)) {
                return wrong("its port is neither 443 nor 8443");
            }
            if url.contains('?') {
                return wrong("it has a query");
            }
            if url.contains('#') {
                return wrong("it has a fragment");
            }
        }
        let Some(host) = parsed.host_str() else { return wrong("it has no host") };
        let host = host.trim_end_matches('.');
        if let Some(address) = address(host) {
            return match self.refuses(address) {
                Some(why) => wrong(&why),
                None if !self.permit.hosts.is_empty() && !self.permit.has_address(address) => {
                    wrong("x5u_permit names hosts, and not its address")
                }
                None => Ok(()),
            };
        }
        if self.deny.has_host(host) {
            return wrong("x5u_deny names its host");
        }
        if !self.permit.hosts.is_empty() && !self.permit.has_host(host) {
            return wrong("x5u_permit does not name its host");
        }
        Ok(())
    }

    /// Refuses a URL that an operator or a script gave, for the address in it alone: an address
    /// that a name leads to is refused when the name was looked up.
    ///
    /// # Errors
    /// [`Code::HttpUrl`].
    pub fn check_address(&self, url: &str) -> Result<()> {
        if !self.looks_at_addresses() {
            return Ok(());
        }
        let parsed = Url::parse(url).ok();
        let address = parsed.as_ref().and_then(Url::host_str).and_then(address);
        match address.and_then(|address| self.refuses(address)) {
            Some(why) => {
                let url = url.escape_debug();
                Err(Error::new(Code::HttpUrl, format!("\"{url}\" is not fetched: {why}")))
            }
            None => Ok(()),
        }
    }

    /// Why an address is not asked, if so; also one that a name was resolved to.
    pub fn refuses(&self, address: IpAddr) -> Option<String> {
        let address = embedded(address);
        if self.deny.has_address(address) {
            return Some(format!("x5u_deny names its address {address}"));
        }
        if self.strict && !self.permit.has_address(address) && is_special(address) {
            return Some(format!(
                "its address {address} is special-purpose (RFC 6890); x5u_permit would allow it"
            ));
        }
        None
    }

    /// Whether there is anything to ask about an address.
    pub(crate) fn looks_at_addresses(&self) -> bool {
        self.strict || !self.deny.networks.is_empty()
    }
}

/// The address that stands in a URL instead of a name.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

impl List {
    fn parse(parameter: &str, text: &str) -> Result<Self> {
        let mut list = Self::default();
        for entry in text.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()) {
            let wrong = |why: &str| {
                Error::new(Code::Generic, format!("{parameter} \"{}\" {why}", entry.escape_debug()))
            };
            if list.hosts.len() + list.networks.len() >= MAX_ENTRIES {
                return Err(wrong(&format!("is one of more than {MAX_ENTRIES} entries")));
            }
            if let Ok(network) = entry.parse::<IpNet>() {
                list.networks.push(network);
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                list.networks.push(address.into());
            } else {
                let name = entry.strip_prefix("*.").unwrap_or(entry);
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if name.is_empty() || !name.chars().all(fits) {
                    return Err(wrong(
                        "is no host (certs.example.com, *.example.com), address or network (192.0.2.0/24)",
                    ));
                }
                list.hosts.push(entry.to_ascii_lowercase());
            }
        }
        Ok(list)
    }

    fn has_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.iter().any(|pattern| match pattern.strip_prefix('*') {
            // With its dot: *.example.com is not notexample.com.
            Some(end) => host.ends_with(end) && host.len() > end.len(),
            None => *pattern == host,
        })
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from([a, b, c, d])
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn is_special(address: IpAddr) -> bool {
    // The tables are constants, and a test parses each of them.
    let within = |block: &str| block.parse::<IpNet>().is_ok_and(|net| net.contains(&address));
    let outside = address.is_ipv6() && !within(GLOBAL_V6);
    outside || address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || SPECIAL.iter().any(|b| within(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_rules_refuse_urls_for_what_they_say() {
        let rules = X5uRules::new(true, "", "evil.example, *.bad.example 8.8.8.0/24").unwrap();
        for url in [
            "https://certs.example.com/a.pem",
            "https://certs.example.com:443/a.pem",
            "https://certs.example.com:8443/a.pem",
            "https://93.184.216.34/a.pem",
            "https://bad.example/a.pem",
            "https://notbad.example/a.pem",
        ] {
            rules.check(url).unwrap();
        }
        for (url, why) in [
            ("http://certs.example.com/a.pem", "not https"),
            ("https:certs.example.com/a.pem", "not https://"),
            ("https:\\\\certs.example.com\\a.pem", "not https://"),
            (" https://certs.example.com/a.pem", "not https://"),
            ("https:///certs.example.com/a.pem", "names no host"),
            ("https://certs.example.com/a b.pem", "must escape"),
            ("https://certs.example.com\\a.pem", "must escape"),
            ("https://@certs.example.com/a.pem", "a user"),
            ("https://certs.example.com:444/a.pem", "port"),
            ("https://u@certs.example.com/a.pem", "user"),
            ("https://u:p@certs.example.com/a.pem", "user"),
            ("https://certs.example.com/a.pem?x=1", "query"),
            ("https://certs.example.com/a.pem?", "query"),
            ("https://certs.example.com/a.pem#x", "fragment"),
            ("https://evil.example/a.pem", "x5u_deny"),
            ("https://EVIL.example./a.pem", "x5u_deny"),
            ("https://a.b.bad.example/a.pem", "x5u_deny"),
            ("https://8.8.8.8/a.pem", "x5u_deny"),
            ("https://127.0.0.1/a.pem", "special-purpose"),
            ("https://2130706433/a.pem", "special-purpose"),
            ("https://0x7f.1/a.pem", "special-purpose"),
            ("https://[::1]/a.pem", "special-purpose"),
            ("https://[::ffff:10.0.0.1]/a.pem", "special-purpose"),
            ("https://[64:ff9b::a00:1]/a.pem", "special-purpose"),
            ("https://[2002:a00:1::]/a.pem", "special-purpose"),
            ("https://[fd00::1]/a.pem", "special-purpose"),
            ("ftp://certs.example.com/a.pem", "not https"),
            ("nonsense", "no URL"),
        ] {
            let error = rules.check(url).unwrap_err();
            assert!(error.message().contains(why), "{url}: {error}");
            assert_eq!(error.code(), Code::HttpUrl);
        }
    }

    #[test]
    fn permit_allows_networks_and_limits_hosts() {
        let rules = X5uRules::new(true, "127.0.0.0/8,*.example.com", "127.0.0.9").unwrap();
        rules.check("https://127.0.0.1:8443/a").unwrap();
        rules.check("https://certs.example.com/a").unwrap();
        assert!(rules.check("https://127.0.0.9/a").is_err());
        assert!(rules.check("https://example.com/a").is_err());
        assert!(rules.check("https://10.0.0.1/a").is_err());
        assert!(rules.check("https://93.184.216.34/a").is_err());
        assert!(rules.check_address("https://10.0.0.1/a").is_err());
        rules.check_address("https://93.184.216.34/a").unwrap();
        rules.check_address("http://other.example/a").unwrap();
        assert!(rules.refuses([10, 0, 0, 1].into()).is_some());
        assert!(rules.refuses([127, 1, 1, 1].into()).is_none());
    }

    #[test]
    fn without_strictness_only_the_lists_count() {
        let rules = X5uRules::new(false, "", "").unwrap();
        rules.check("http://127.0.0.1:1/a?b#c").unwrap();
        assert!(!rules.looks_at_addresses());
        let rules = X5uRules::new(false, "", "10.0.0.0/8").unwrap();
        assert!(rules.check("http://10.1.2.3/a").is_err() && rules.looks_at_addresses());
    }

    #[test]
    fn tables_and_lists_parse() {
        for block in SPECIAL.iter().chain([&GLOBAL_V6]) {
            block.parse::<IpNet>().unwrap();
        }
        for entry in ["a/b", "*", "exa mple!", "10.0.0.0/33", "*.*.x?"] {
            let error = X5uRules::new(true, entry, "").unwrap_err();
            assert!(error.message().starts_with("x5u_permit"), "{entry}: {error}");
        }
    }
}

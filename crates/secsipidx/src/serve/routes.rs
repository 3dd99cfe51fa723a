//! What is where: one table of routes, which all else asks.

use super::access::Entry;

/// What a path does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /v1/check`, the stock service's
    Check,
    /// `POST /v1/sign-csv`, the stock service's
    SignCsv,
    /// `POST /v1/sign`
    Sign,
    /// `POST /v1/verify`
    Verify,
    /// `POST /v1/inspect`
    Inspect,
    /// `POST /stir/v1/signing` (ATIS-1000082)
    Signing,
    /// `POST /stir/v1/verification` (ATIS-1000082)
    Verification,
    /// `GET /v1/pub/…`
    Public,
    /// `GET /healthz`
    Health,
    /// `GET /readyz`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `GET /openapi.json`
    OpenApi,
    /// `GET /`
    Page,
    /// `GET /v1/status`
    Status,
    /// Nothing is there.
    Unknown,
}

/// How a route is asked, and who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// POST, of those who may have calls signed.
    Signs,
    /// POST
    Works,
    /// GET
    Shows,
    /// GET, of everybody: what is public anyway.
    Open,
    /// GET, where the status page is shown.
    StatusPage,
}

/// Which form errors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The service's own.
    Own,
    /// ATIS-1000082's.
    Atis,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The path, or what it begins with if it ends with a slash; the label of metrics too.
    pub path: &'static str,
    /// What it does.
    pub route: Route,
    /// How it is asked.
    pub kind: Kind,
    /// How it answers.
    pub family: Family,
}

/// Where the folder's files are.
pub const PUB: &str = "/v1/pub/";

const fn own(path: &'static str, route: Route, kind: Kind) -> Row {
    Row { path, route, kind, family: Family::Own }
}

const fn atis(path: &'static str, route: Route, kind: Kind) -> Row {
    Row { path, route, kind, family: Family::Atis }
}

/// The first that fits is meant.
static ROWS: [Row; 15] = [
    own("/v1/check", Route::Check, Kind::Works),
    own("/v1/sign-csv", Route::SignCsv, Kind::Signs),
    own("/v1/sign", Route::Sign, Kind::Signs),
    own("/v1/verify", Route::Verify, Kind::Works),
    own("/v1/inspect", Route::Inspect, Kind::Works),
    atis("/stir/v1/signing", Route::Signing, Kind::Signs),
    atis("/stir/v1/verification", Route::Verification, Kind::Works),
    atis("/stir/", Route::Unknown, Kind::Works),
    own(PUB, Route::Public, Kind::Open),
    own("/healthz", Route::Health, Kind::Open),
    own("/readyz", Route::Ready, Kind::Open),
    own("/metrics", Route::Metrics, Kind::Shows),
    own("/openapi.json", Route::OpenApi, Kind::Shows),
    own("/", Route::Page, Kind::StatusPage),
    own("/v1/status", Route::Status, Kind::StatusPage),
];

static UNKNOWN: Row = own("other", Route::Unknown, Kind::Shows);

/// The line of a path.
pub fn find(path: &str, entry: Entry) -> &'static Row {
    let fits = |row: &&Row| match row.path {
        "/" => path == "/",
        prefix if prefix.ends_with('/') => path.starts_with(prefix),
        whole => path == whole,
    };
    let shown = |row: &&Row| row.kind != Kind::StatusPage || entry.status_page;
    ROWS.iter().filter(fits).find(shown).unwrap_or(&UNKNOWN)
}

impl Row {
    /// Whether it takes a body by POST, and not GET or HEAD.
    pub const fn posts(&self) -> bool {
        matches!(self.kind, Kind::Signs | Kind::Works)
    }
}

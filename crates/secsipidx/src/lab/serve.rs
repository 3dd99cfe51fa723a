//! `lab serve`: the laboratory's STI over HTTPS, for programs on this machine.

use super::pa::{ACCOUNT, PASSWORD, USER};
use super::wire::{Ask, Reply};
use super::world::{Options, World, random};
use crate::cli::lab::{Lab as LabArgs, LabCommand, LabServe};
use crate::keys::{self, Access};
use crate::output;
use crate::pki::{Holder, Role};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stir::{Code, Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Largest request: a token with its chain has 6 KiB.
const MAX_BODY: usize = 256 * 1024;
/// Connections at a time: the tests of one machine.
const MAX_CONNECTIONS: usize = 256;
/// For the header of a request.
const HEADER: Duration = Duration::from_secs(5);

/// `lab`
///
/// # Errors
/// A folder that is not a laboratory; an address that is not this machine's, or taken.
pub fn serve(args: &LabArgs) -> Result<ExitCode> {
    let LabCommand::Serve(args) = &args.command;
    for address in std::iter::once(args.listen).chain(args.http) {
        if !address.ip().is_loopback() {
            return Err(wrong(format!(
                "{address} is not an address of loopback: everybody could get certificates of this laboratory"
            )));
        }
    }
    super::check_code(&args.spc)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| wrong(format!("it can't be started: {e}")))?;
    runtime.block_on(run(args)).map(|()| ExitCode::SUCCESS)
}

async fn run(args: &LabServe) -> Result<()> {
    let secure = bind(args.listen).await?;
    let plain = match args.http {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let address = local(&secure)?;
    let base = args.url.clone().unwrap_or_else(|| format!("https://{address}"));
    let eab = args.eab.then(|| sti::jose::base64url(random()));
    let options = Options {
        base: base.trim_end_matches('/').to_owned(),
        lifetime: Duration::from_secs(args.lifetime),
        list_lifetime: Duration::from_secs(args.list_lifetime),
        token_lifetime: Duration::from_secs(args.token_lifetime),
        eab,
    };
    let base = options.base.clone();
    write_files(args, &options, address)?;
    let world = World::new(args.folder.clone(), options)?;
    let tls = TlsAcceptor::from(Arc::new(tls(&world)?));
    let world = Arc::new(Mutex::new(world));
    let folder = args.folder.display();
    output::print(&format!(
        "STI-PA      {base}/api/v1 (user {USER}, password in {folder}/pa-password, account {ACCOUNT})
STI-CA      {base}/acme/directory
STI-CR      https://{address}/cr/ (files of {folder}/cr)
HTTPS       {folder}/root.pem is the authority
settings    {folder}/sti.toml (secsipidx enroll --config {folder}/sti.toml)
"
    ));
    if let Some(plain) = &plain {
        output::complain(&format!("HTTP on {}", local(plain)?));
    }
    // Last: who started it waits for this line.
    output::complain(&format!("HTTPS on {address}"));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let taken = tokio::select! {
            taken = secure.accept() => taken.map(|(stream, _)| (stream, true)),
            taken = async { plain.as_ref().unwrap_or(&secure).accept().await }, if plain.is_some() => {
                taken.map(|(stream, _)| (stream, false))
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Ok((stream, encrypted)) = taken else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (world, tls) = (Arc::clone(&world), tls.clone());
        tokio::spawn(async move {
            let _place = place;
            if !encrypted {
                return connection(stream, world).await;
            }
            if let Ok(Ok(stream)) = tokio::time::timeout(HEADER, tls.accept(stream)).await {
                connection(stream, world).await;
            }
        });
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| wrong(format!("{address} can't be used: {e}")))
}

fn local(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|e| wrong(format!("the address is not known: {e}")))
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, world: Arc<Mutex<World>>) {
    let service = service_fn(|request| {
        let world = Arc::clone(&world);
        async move { Ok::<_, Infallible>(handle(&world, request).await) }
    });
    // What a client breaks off is its own affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn handle(world: &Mutex<World>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let reply = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let authorization = head.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
            let ask = Ask {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                authorization: authorization.unwrap_or_default().to_owned(),
                body: body.to_bytes().to_vec(),
            };
            world.lock().unwrap_or_else(PoisonError::into_inner).answer(&ask)
        }
        Err(_) => Reply::new(413, "text/plain", "too large\n"),
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body.into())).unwrap_or_default()
}

/// A certificate for HTTPS, of the laboratory's root.
fn tls(world: &World) -> Result<ServerConfig> {
    let lifetime = super::days(90);
    let root = &world.lab.root;
    let holder = Holder::issue("CN=localhost,O=Lab,C=US", &Role::Server, lifetime, Some(root))?;
    let unreadable = |e: &dyn std::fmt::Display| wrong(format!("HTTPS can't be set up: {e}"));
    let certificate =
        CertificateDer::from_pem_slice(holder.pem()?.as_bytes()).map_err(|e| unreadable(&e))?;
    let key = PrivateKeyDer::from_pem_slice(holder.key.private_pem()?.as_bytes())
        .map_err(|e| unreadable(&e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| unreadable(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(|e| unreadable(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What a client of this laboratory needs.
fn write_files(args: &LabServe, options: &Options, address: SocketAddr) -> Result<()> {
    let base = &options.base;
    let folder = &args.folder;
    if !folder.join("root.pem").exists() {
        return Err(wrong(format!(
            "\"{0}\" is not a laboratory: secsipidx ca {0} makes one",
            folder.display()
        )));
    }
    let failed =
        |e: std::io::Error| wrong(format!("\"{}\" can't be written: {e}", folder.display()));
    let whole = std::path::absolute(folder).map_err(failed)?;
    std::fs::create_dir_all(folder.join("cr")).map_err(failed)?;
    keys::write(&folder.join("pa-password"), &format!("{PASSWORD}\n"), Access::Secret, true)?;
    let mut eab = String::new();
    if let Some(key) = &options.eab {
        keys::write(&folder.join("eab-key"), key, Access::Secret, true)?;
        eab = format!("eab_kid = \"lab\"\neab_key_file = {}\n", text(&whole.join("eab-key")));
    }
    let at = |name: &str| text(&whole.join(name));
    let settings = format!(
        "# Made by secsipidx lab serve: a configuration for this laboratory.
[sti_pa]
url = \"{base}\"
user = \"{USER}\"
password_file = {password}
account = \"{ACCOUNT}\"
anchors = {root}

[acme]
directory = \"{base}/acme/directory\"
account_key = {account}
{eab}
[certificate]
spc = \"{spc}\"
organization = \"Lab\"
country = \"US\"

[publish]
folder = {cr}
url = \"https://{address}/cr/\"
keep_old = \"1d\"

[install]
key = {key}
certificate = {certificate}

[trust]
list = \"{base}/api/v1/ca-list\"
list_signer = {signer}
crl = \"{base}/download/v1/crl\"
folder = {trust}

[http]
ca = {root}
",
        password = at("pa-password"),
        root = at("root.pem"),
        account = at("account-key.pem"),
        spc = args.spc,
        cr = at("cr"),
        key = at("installed/key.pem"),
        certificate = at("installed/cert.pem"),
        signer = at("crl-signer.pem"),
        trust = at("trust"),
    );
    keys::write(&folder.join("sti.toml"), &settings, Access::Public, true)
}

/// A path in TOML.
fn text(path: &Path) -> String {
    toml::Value::from(path.to_string_lossy().into_owned()).to_string()
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}

//! Gets a certificate: account, token, order, challenge, request; and checks what came.

use super::config::{Config, KeyChoice, Own, SecretFile, StiPa};
use super::files::{self, Owner, step};
use super::pairs::{CERTIFICATE, KEY, Pair, Pairs, X5U, wrong};
use super::token;
use crate::input;
use crate::inspect::cert::{encode_spcs, utc};
use crate::keys::NewKey;
use crate::pki;
use ::sti::acme::{Acme, ExternalAccount, NewOrder, Order, Status, certificate_id};
use ::sti::http::Http;
use ::sti::jose::AccountKey;
use ::sti::secret::Secret;
use der::Encode;
use der::pem::LineEnding;
use std::path::Path;
use std::time::Duration;
use stir::authority::TnAuthList;
use stir::cert::Chain;
use stir::{Clock, Code, Error, Result, SystemClock};

/// Seconds that the CA's clock may be ahead.
const SKEW: i64 = 60;
/// The environment variable by which a test waits less.
#[cfg(debug_assertions)]
const TEST_PATIENCE: &str = "SECSIPIDX_TEST_PATIENCE";

/// A CA, with the account key that it knows.
pub struct Ca<'a> {
    /// The client.
    pub acme: Acme<'a>,
    key: &'a AccountKey,
    own: &'a Own,
    pa: &'a StiPa,
    http: &'a Http,
    config: &'a Config,
}

/// The account's key; made if it is not there and `create` says so.
///
/// # Errors
/// It can't be read or made.
pub fn account_key(file: &SecretFile, create: bool) -> Result<AccountKey> {
    let path = file.path()?;
    if !path.exists() {
        if !create {
            return Err(wrong(format!(
                "the account key \"{}\" is not there: secsipidx enroll makes one",
                path.display()
            )));
        }
        if let Some(folder) = path.parent() {
            files::folder(folder)?;
        }
        let pem = NewKey::generate().private_pem()?;
        files::write(&path, pem.as_bytes(), Owner::secret(&path))?;
        step("account-key-made");
    }
    AccountKey::from_pem(file.read()?.expose()).map_err(|e| {
        Error::new(e.code(), format!("acme.account_key \"{}\": {}", path.display(), e.message()))
    })
}

impl<'a> Ca<'a> {
    /// Reads the CA's directory and finds the account, or makes it.
    ///
    /// # Errors
    /// What the CA says.
    pub fn open(
        config: &'a Config,
        own: &'a Own,
        http: &'a Http,
        key: &'a AccountKey,
        create: bool,
    ) -> Result<Self> {
        let pa = config.sti_pa.as_ref().ok_or_else(|| wrong("[sti_pa] is missing"))?;
        let mut acme = Acme::new(http, &own.acme.directory, key, patience())?;
        let external = match &own.acme.eab_key_file {
            Some(file) => Some(file.read()?),
            None => None,
        };
        let external = external.as_ref().map(|key| ExternalAccount { kid: &own.acme.eab_kid, key });
        acme.account(create, &own.acme.contact, external.as_ref())?;
        step("account");
        Ok(Self { acme, key, own, pa, http, config })
    }

    /// Gets a certificate, or goes on with the one that an earlier run did not get, and checks it.
    ///
    /// # Errors
    /// Whatever the STI-PA or the CA says, and what is wrong with what they gave. Nothing that is in
    /// force has been touched.
    pub fn certificate(
        &self,
        pairs: &Pairs<'_>,
        before: Option<&Pair>,
        warnings: &mut Vec<String>,
    ) -> Result<Pair> {
        let certificate = &self.own.certificate;
        let key = self.key(pairs)?;
        let list = encode_spcs(std::slice::from_ref(&certificate.spc))
            .map_err(|e| wrong(format!("the TNAuthList can't be encoded: {e}")))?;
        let mut order = self.order(pairs, &list, before)?;
        if order.status() == Status::Pending {
            let token = || self.token(&list);
            order = self.acme.authorize(&order, self.own.acme.answer, token)?;
            step("authorized");
        }
        if order.status() == Status::Ready {
            let spc = std::slice::from_ref(&certificate.spc);
            let request = pki::request(&key, &certificate.subject, spc)?
                .to_der()
                .map_err(|e| wrong(format!("the request can't be encoded: {e}")))?;
            order = self.acme.finalize(&order, &request)?;
            step("finalized");
        }
        let order = self.acme.settle(&order, Status::Processing)?;
        let text = self.acme.certificate(&order)?;
        let checked = self.check(&text, &key, warnings);
        if checked.is_err() {
            // The same order would bring the same certificate again.
            let _ = std::fs::remove_file(pairs.next("order"));
        }
        let chain = checked?;
        let id = chain.leaf().serial();
        let name = format!("{}-{}.pem", certificate.spc, id.to_ascii_lowercase());
        let x5u = format!("{}{name}", self.own.publish.url);
        files::write(&pairs.next(CERTIFICATE), pem(&chain)?.as_bytes(), Owner::public())?;
        step("certificate-written");
        files::write(&pairs.next(X5U), format!("{x5u}\n").as_bytes(), Owner::public())?;
        pairs.complete(&id)
    }

    /// The key of the certificate that is being got. It is on the disk before anybody hears of it.
    fn key(&self, pairs: &Pairs<'_>) -> Result<NewKey> {
        let path = pairs.next(KEY);
        let folder = path.parent().unwrap_or(Path::new("."));
        files::folder(folder)?;
        let read = |path: &Path| {
            let text = Secret::new(input::read_regular(&path.to_string_lossy())?);
            NewKey::from_pem(text.expose()).map_err(|e| {
                Error::new(e.code(), format!("\"{}\" {}", path.display(), e.message()))
            })
        };
        let key = match &self.own.certificate.key {
            KeyChoice::New if path.exists() => return read(&path),
            KeyChoice::New => NewKey::generate(),
            KeyChoice::Account => read(&self.own.acme.account_key.path()?)?,
            KeyChoice::File(file) => read(file)?,
        };
        let owner = Owner::secret(&self.own.install.key);
        files::write(&path, key.private_pem()?.as_bytes(), owner)?;
        step("key-made");
        Ok(key)
    }

    /// The order of an earlier run, if the CA still knows it, or a new one.
    fn order(&self, pairs: &Pairs<'_>, list: &[u8], before: Option<&Pair>) -> Result<Order> {
        let path = pairs.next("order");
        if let Ok(url) = input::read_regular(&path.to_string_lossy()) {
            match self.acme.resume(url.trim()) {
                Ok(order) if order.status() != Status::Invalid => {
                    log::info!("going on with the order \"{}\"", order.url);
                    return Ok(order);
                }
                // It ran out, or came to nothing.
                _ => log::info!("the order of an earlier run is of no use: making another"),
            }
        }
        let not_after = self.own.certificate.lifetime.map(|lifetime| {
            let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
            utc(SystemClock.now().saturating_add(seconds))
        });
        let replaces = before.and_then(|pair| certificate_id(pair.chain.leaf()));
        let order = self.acme.order(&NewOrder {
            tn_auth_list: list,
            tkvalue: self.own.acme.tkvalue,
            not_after: not_after.as_deref(),
            replaces: replaces.as_deref(),
        })?;
        files::write(&path, format!("{}\n", order.url).as_bytes(), Owner::public())?;
        step("ordered");
        Ok(order)
    }

    fn token(&self, list: &[u8]) -> Result<Secret> {
        let (acme, pa) = (&self.own.acme, self.pa);
        let password = pa.password_file.read()?;
        let account = sti::pa::StiPa::new(self.http, &pa.url, &pa.user, &password, &pa.account);
        let token = account.token(list, acme.tkvalue, &self.key.public, acme.fingerprint)?;
        token::check(&token, list, &self.key.public, pa, self.http)?;
        step("token");
        Ok(token.jwt)
    }

    /// Whether this is the certificate that was asked for.
    fn check(&self, text: &str, key: &NewKey, warnings: &mut Vec<String>) -> Result<Chain> {
        let refused = |why: &str| {
            Error::new(
                Code::CertInvalid,
                format!("the CA's certificate is not used: {why}; what is in force stays"),
            )
        };
        let chain = Chain::from_pem(text.as_bytes()).map_err(|e| refused(e.message()))?;
        let leaf = chain.leaf();
        let own = AccountKey::from_pem(&key.private_pem()?)?;
        if leaf.public_key_sec1().map_err(|e| refused(e.message()))? != own.public.point() {
            return Err(refused("it is for another key"));
        }
        let spc = &self.own.certificate.spc;
        let list = stir::authority::spc(leaf);
        let whole = leaf
            .extension(crate::inspect::cert::TN_AUTH_LIST)
            .and_then(|(_, der)| TnAuthList::from_der(der).ok());
        if !whole.is_some_and(|whole| whole.spcs == [spc.as_str()] && !whole.has_numbers()) {
            let found = list.map_or_else(|| "none".into(), |found| format!("{found:?}"));
            return Err(refused(&format!("it is for the SPC {found}, not {spc:?}")));
        }
        let now = SystemClock.now();
        if leaf.not_before() > now + SKEW || leaf.not_after() <= now {
            return Err(refused(&format!(
                "it is valid from {} to {}, and here it is {}: check this machine's clock",
                utc(leaf.not_before()),
                utc(leaf.not_after()),
                utc(now)
            )));
        }
        match super::trust::judge(self.config, &chain, now.max(leaf.not_before())) {
            None => warnings
                .push("the chain was not checked: [trust] names no list of trusted CAs".into()),
            Some(result) => result.map_err(|e| {
                refused(&format!("it does not lead to the STI-PA's list: {}", e.message()))
            })?,
        }
        warnings.extend(
            stir::profile::check(leaf, &stir::profile::Policies::default())
                .iter()
                .map(|finding| format!("the certificate breaks a rule of ATIS-1000080: {finding}")),
        );
        Ok(chain)
    }
}

/// A chain to publish: the signer's certificate first, no root (ATIS-1000074 §5.3.1).
fn pem(chain: &Chain) -> Result<String> {
    let mut text = String::new();
    let rest = chain.rest().iter().filter(|one| one.subject() != one.issuer());
    for certificate in std::iter::once(chain.leaf()).chain(rest) {
        text += &der::pem::encode_string("CERTIFICATE", LineEnding::LF, certificate.der())
            .map_err(|e| wrong(format!("the certificate can't be encoded: {e}")))?;
    }
    Ok(text)
}

fn patience() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(seconds) = std::env::var(TEST_PATIENCE).ok().and_then(|text| text.parse().ok()) {
        return Duration::from_secs(seconds);
    }
    sti::acme::PATIENCE
}

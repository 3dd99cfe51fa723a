//! The status page, as a person sees it in a browser.
#![allow(clippy::unwrap_used)]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use support::browser::Browser;
use support::{CALL, Folder, KEYS, Service, local};

/// Presses Ctrl+Enter, and lets go.
const CTRL_ENTER: &str = "\u{e009}\u{e007}\u{e000}";

/// What a browser does with the page that should not be.
const MARKUP: &str =
    "<script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">";

#[test]
fn a_person_reads_counters_and_has_a_header_inspected() {
    let folder = Folder::lab();
    let public = "http://127.0.0.1:PORT/v1/pub/spc-1234.pem";
    // The service downloads the certificate from itself: the port must be known before.
    let port = support::free_port();
    let x5u = public.replace("PORT", &port.to_string());
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[sign]\nkey = \"lab/spc-1234-key.pem\"\nx5u = \"{x5u}\"\n[check]\nx5u_permit = \"127.0.0.1\"\nca = \"lab/root.pem\"\nintermediates = \"lab/intermediates.pem\"\n[public]\nfolder = \"lab\"\n"
    );
    let service = Service::start(&folder, &config);
    let identity = service.post("/v1/sign", CALL).json()["identity"].as_str().unwrap().to_owned();

    let browser = Browser::start(&folder);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    browser.wait_text("#about", "up ");
    assert!(browser.text("#about").contains(env!("CARGO_PKG_VERSION")));
    browser.wait_text("#glance", "Calls signed\n1");
    let listeners = browser.text("#listeners");
    assert!(listeners.contains(&format!("127.0.0.1:{port}")), "{listeners}");
    assert!(listeners.contains("for programs on this machine"), "{listeners}");
    let served = browser.text("#served");
    for part in [x5u.as_str(), "lab/root.pem", "lab/intermediates.pem", "Public folder"] {
        assert!(served.contains(part), "{part} is not in {served}");
    }
    assert_eq!(browser.text("#certificates"), "None yet.");

    // A whole message, by the button.
    let message = format!(
        "INVITE sip:x SIP/2.0\r\nFrom: <sip:+12155550100@a>;tag=1\r\nTo: <sip:12025550199@b>\r\nIdentity: {identity}\r\n\r\n"
    );
    browser.type_into("#text", &message);
    browser.click("#inspect button");
    assert_eq!(browser.wait_text("#summary", "alid."), "Not valid.");
    let result = browser.text("#result");
    for part in [
        "Not valid (-502): ",
        "pass signature verifies",
        "pass chain leads to a trust anchor",
        "FAIL dest is the called number dest 12025550100 is not ",
        "12025550199 (-502)",
        "attest A (full",
        "Signer's certificate",
        "CN=SHAKEN 1234",
        "SPC 1234",
    ] {
        assert!(result.contains(part), "{part:?} is not in {result}");
    }
    let certificates = browser.wait_text("#certificates", "SPC 1234");
    assert!(certificates.contains(&x5u), "{certificates}");
    assert!(!certificates.contains("under a day"), "{certificates}");
    browser.wait_text("#glance", "Checks: valid\n0");
    assert!(service.get("/v1/verify").status == 405);
    service.post("/v1/verify", &json!({"identity": identity}).to_string());
    browser.wait_text("#glance", "Checks: valid\n1");

    // With the called that was signed, and one that was changed, by the keyboard.
    browser.script("document.getElementById('text').value = ''");
    browser.type_into("#text", &message.replace("12025550199", "12025550100"));
    browser.click("#inspect button");
    browser.wait_text("#summary", "Valid.");
    browser.script("document.getElementById('text').value = ''");
    browser.type_into("#text", &identity.replacen('.', ".e", 1));
    browser.type_into("#text", CTRL_ENTER);
    browser.wait_text("#summary", "Not valid.");
    assert!(browser.text("#result h3").starts_with("Not valid (-231): "));

    // More than one message may have.
    let many: String = (0..12).map(|n| format!("y: {n}.b.c\n")).collect();
    browser.script(&format!("document.getElementById('text').value = {many:?}"));
    browser.click("#inspect button");
    browser
        .wait_text("#summary", "10 Identity headers, 0 of them valid. 2 more were not looked at.");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn what_a_stranger_wrote_stays_text() {
    let folder = Folder::lab();
    let service = Service::start(&folder, &local(""));
    let browser = Browser::start(&folder);
    let url = format!("http://127.0.0.1:{}/", service.port);
    browser.open(&url);
    let title = browser.script("return document.title");
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "ES256", "ppt": MARKUP, "typ": "passport", "x5u": MARKUP}));
    let payload = part(json!({"attest": MARKUP, MARKUP: MARKUP, "orig": {"tn": MARKUP}}));
    let identity =
        format!("{header}.{payload}.AAAA;info=<{}>;alg=ES256;ppt=shaken", MARKUP.replace('>', " "));
    browser.type_into("#text", &format!("Identity: {identity}\n"));
    browser.click("#inspect button");
    browser.wait_text("#summary", "Not valid.");
    let result = browser.text("#result");
    assert!(result.matches(MARKUP).count() >= 5, "{result}");
    // In a string inside of what is no string, JSON's quotes are escaped.
    assert!(result.contains("<script>document.title='evil'</script><img src=x onerror=\\\""));
    assert_eq!(browser.script("return document.querySelectorAll('#result script, img').length"), 0);
    assert_eq!(browser.script("return document.title"), title);
    // And if the page were wrong once: the browser itself refuses markup.
    let refused = browser.script(
        "try { document.getElementById('result').innerHTML = '<b>x</b>'; return 'done' } catch (e) { return e.name }",
    );
    assert_eq!(refused, "TypeError");
}

#[test]
fn it_can_be_used_by_everybody() {
    let folder = Folder::lab();
    folder.out("ca short --days 1 --spc 77");
    let config = local("").replace("lab/spc-1234", "short/spc-77");
    let service = Service::start(&folder, &config);
    let signed = service.post("/v1/sign", CALL).json();
    let browser = Browser::start(&folder);
    browser.open(&format!("http://127.0.0.1:{}/", service.port));
    browser.type_into("#text", signed["identity"].as_str().unwrap());
    browser.click("#inspect button");
    browser.wait_text("#summary", "Valid.");
    // The last day of a certificate is marked.
    browser.wait_text("#certificates", "under a day");

    assert_eq!(
        browser.label("#text"),
        "An Identity header, a SIP message, or the text of a capture"
    );
    assert_eq!(browser.label("#inspect button"), "Inspect");
    assert_eq!(
        browser.script("return [...document.querySelectorAll('table')].filter(t => !t.caption?.textContent || !t.querySelector('th[scope]')).length"),
        0
    );
    assert_eq!(browser.script("return document.querySelectorAll('h1').length"), 1);
    for scheme in ["light", "dark"] {
        browser.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        let pale = browser.script(CONTRAST);
        assert_eq!(pale, json!([]), "{scheme}: text of too little contrast");
    }
    // On a phone nothing but what scrolls by itself is wider than the window.
    browser.devtools(
        "Emulation.setDeviceMetricsOverride",
        &json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true}),
    );
    let widths = || browser.script("return [innerWidth, document.documentElement.scrollWidth]");
    support::wait_for("the narrow window", || (widths()[0] == 360).then_some(()));
    assert_eq!(widths(), json!([360, 360]));
}

/// Texts whose colour differs from what is behind them by less than 4.5 (WCAG 2.2, 1.4.3).
const CONTRAST: &str = "
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => { const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
return [...document.querySelectorAll('body *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.checkVisibility()).map((e) => {
  const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
  return [e.textContent, (a + 0.05) / (b + 0.05)];
}).filter(([, ratio]) => ratio < 4.5);
";

#[test]
fn the_page_tells_browsers_to_be_strict_and_can_be_turned_off() {
    let folder = Folder::lab();
    let token = "0123456789abcdef0123456789abcdef";
    folder.write("token", token);
    let config = local("").replace("[check]", "token_file = \"token\"\n[check]");
    let config =
        config.replace("key = \"lab/spc-1234.pem\"", "key = \"https://user:password@e.org/c.pem\"");
    let service = Service::start(&folder, &config);
    let page = service.get("/");
    assert_eq!(page.status, 200);
    for header in [
        "content-type: text/html",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "base-uri 'none'",
    ] {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("unsafe"), "{}", page.head);
    let html = page.body.split("<script>").next().unwrap();
    for outside in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!page.body.contains("innerHTML"));
    let status = service.get("/v1/status");
    assert_eq!(status.json()["listeners"][0]["signing"], "with the bearer token");
    assert_eq!(status.json()["check"]["key"], "https://e.org/c.pem");
    for secret in [token, "password", "spc-1234-key"] {
        assert!(!status.body.contains(secret), "{secret}: {status:?}");
    }
    drop(service);

    let off = local("").replace("[sign]", "status_page = false\n[sign]");
    let stock = ["-http-srv", "127.0.0.1:0", "-k", "lab/spc-1234-key.pem"];
    for service in [Service::start(&folder, &off), Service::ours(&folder, &stock, &[])] {
        for path in ["/", "/v1/status"] {
            assert_eq!(service.get(path).status, 404, "{path}");
        }
        assert_eq!(service.get("/healthz").status, 200);
    }
    // Where the key is not set, that is said.
    let bare = "[http]\nlisten = \"127.0.0.1:0\"\n";
    let status = Service::start(&folder, bare).get("/v1/status").json();
    assert_eq!(status["listeners"][0]["signing"], "off: there is no private key");
    // And where it is closed.
    let open = KEYS.to_owned() + "[http]\nlisten = \"0.0.0.0:0\"\n";
    let status = Service::start(&folder, &open).get("/v1/status").json();
    assert!(status["listeners"][0]["signing"].as_str().unwrap().starts_with("closed"));
}

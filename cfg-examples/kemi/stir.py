# Signs the call, checks it by every function there is, and answers with what came of it.
import time

import KSR

# Where the private key and the certificate are, and where others can download the certificate.
KEY = "/etc/kamailio/shaken-key.pem"
CERT = "/etc/kamailio/shaken.pem"
URL = "https://certs.example.com/shaken.pem"


def read(path):
    with open(path) as file:
        return file.read()


def answer(name, value):
    KSR.hdr.append_to_reply(f"X-{name}: {value}\r\n")


def mod_init():
    return Stir()


class Stir:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        if KSR.is_method("OPTIONS"):
            KSR.sl.sl_send_reply(200, "OK")
            return 1
        stir = KSR.secsipid
        orig, dest = KSR.pv.get("$fU"), KSR.pv.get("$rU")

        # First: applying changes to the message drops what was put into the reply.
        added = stir.secsipid_add_identity(orig, dest, "A", "", URL, KEY)
        KSR.textopsx.msg_apply_changes()
        # The call goes on to another number: a second header says so.
        diverted = stir.secsipid_add_div(orig, "12155550001", dest, URL, KEY)
        KSR.textopsx.msg_apply_changes()
        # What the check says is written into the numbers of P-Asserted-Identity.
        checked = stir.secsipid_check_identity(CERT)
        verstat = stir.secsipid_set_verstat()
        KSR.textopsx.msg_apply_changes()
        answer("Add", added)
        answer("Div", diverted)
        answer("Checked", checked)
        answer("Verstat", verstat)
        answer("Identities", KSR.pv.get("$hdrc(Identity)"))
        answer("Div-Header", KSR.pv.get("$(hdr(Identity)[1])"))
        answer("Asserted", KSR.pv.get("$hdr(P-Asserted-Identity)"))

        answer("Build", stir.secsipid_build_identity(orig, dest, "A", "", URL, KEY))
        identity = stir.secsipid_get_val()
        answer("Check", stir.secsipid_check(identity, CERT))
        answer("Attest", KSR.pv.get("$secsipid(attest)"))
        answer("Verify", stir.secsipid_verify(identity, stir.secsipid_get_url(URL), ""))
        answer("Build-Key", stir.secsipid_build_identity_prvkey(orig, dest, "B", "", URL, read(KEY)))

        header = '{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"%s"}' % URL
        payload = (
            '{"attest":"C","dest":{"tn":["1"]},"iat":%d,"orig":{"tn":"2"},"origid":"x"}' % time.time()
        )
        answer("Sign", stir.secsipid_sign(header, payload, KEY))
        answer("Sign-Key", stir.secsipid_sign_prvkey(header, payload, read(KEY)))
        answer("Token", stir.secsipid_verify(stir.secsipid_get_val(), read(CERT), "A"))

        answer("Identity", stir.secsipid_check_identity(""))
        answer("Identity-Key", stir.secsipid_check_identity_pubkey(read(CERT)))
        answer("Bad", stir.secsipid_check("junk", CERT))
        answer("Error", KSR.pv.get("$secsipid(error)"))
        KSR.sl.sl_send_reply(200, "OK")
        return 1

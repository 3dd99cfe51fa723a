-- Signs the call, checks it by every function there is, and answers with what came of it.

-- Where the private key and the certificate are, and where others can download the certificate.
local KEY = "/etc/kamailio/shaken-key.pem"
local CERT = "/etc/kamailio/shaken.pem"
local URL = "https://certs.example.com/shaken.pem"

local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
end

local function answer(name, value)
    KSR.hdr.append_to_reply("X-" .. name .. ": " .. tostring(value) .. "\r\n")
end

function ksr_request_route()
    if KSR.is_method("OPTIONS") then
        KSR.sl.sl_send_reply(200, "OK")
        return
    end
    local stir = KSR.secsipid
    local orig, dest = KSR.pv.get("$fU"), KSR.pv.get("$rU")

    -- First: applying changes to the message drops what was put into the reply.
    local added = stir.secsipid_add_identity(orig, dest, "A", "", URL, KEY)
    KSR.textopsx.msg_apply_changes()
    -- The call goes on to another number: a second header says so.
    local diverted = stir.secsipid_add_div(orig, "12155550001", dest, URL, KEY)
    KSR.textopsx.msg_apply_changes()
    -- What the check says is written into the numbers of P-Asserted-Identity.
    local checked = stir.secsipid_check_identity(CERT)
    local verstat = stir.secsipid_set_verstat()
    KSR.textopsx.msg_apply_changes()
    answer("Add", added)
    answer("Div", diverted)
    answer("Checked", checked)
    answer("Verstat", verstat)
    answer("Identities", KSR.pv.get("$hdrc(Identity)"))
    answer("Div-Header", KSR.pv.get("$(hdr(Identity)[1])"))
    answer("Asserted", KSR.pv.get("$hdr(P-Asserted-Identity)"))

    answer("Build", stir.secsipid_build_identity(orig, dest, "A", "", URL, KEY))
    local identity = stir.secsipid_get_val()
    answer("Check", stir.secsipid_check(identity, CERT))
    answer("Attest", KSR.pv.get("$secsipid(attest)"))
    answer("Verify", stir.secsipid_verify(identity, stir.secsipid_get_url(URL), ""))
    answer("Build-Key", stir.secsipid_build_identity_prvkey(orig, dest, "B", "", URL, read(KEY)))

    local header = '{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"' .. URL .. '"}'
    local payload = '{"attest":"C","dest":{"tn":["1"]},"iat":' .. os.time() .. ',"orig":{"tn":"2"},"origid":"x"}'
    answer("Sign", stir.secsipid_sign(header, payload, KEY))
    answer("Sign-Key", stir.secsipid_sign_prvkey(header, payload, read(KEY)))
    answer("Token", stir.secsipid_verify(stir.secsipid_get_val(), read(CERT), "A"))

    answer("Identity", stir.secsipid_check_identity(""))
    answer("Identity-Key", stir.secsipid_check_identity_pubkey(read(CERT)))
    answer("Bad", stir.secsipid_check("junk", CERT))
    answer("Error", KSR.pv.get("$secsipid(error)"))
    KSR.sl.sl_send_reply(200, "OK")
end

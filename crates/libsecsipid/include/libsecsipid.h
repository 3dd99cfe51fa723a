/*
 * STIR/SHAKEN for C: signs and checks Identity header fields (RFC 8224, RFC 8225, RFC 8588).
 *
 * Strings in: 0-terminated, kept by the caller, never written to; NULL is an empty string. Where a
 * length goes with a string it may be without a 0; length 0 means up to the 0.
 *
 * Strings out: *outPtr is set to memory of malloc(), with a 0 behind the text; free it with free(),
 * also after a failure. It is never left unset; free(NULL) is allowed.
 *
 * Codes: negative, as the Kamailio module's: -1xx certificates and keys, -2xx the token, -3xx the
 * header field, -4xx downloads and files, -1 anything else.
 *
 * Every function may be called by several threads at once, and in a child after fork().
 */

#ifndef LIBSECSIPID_H
#define LIBSECSIPID_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Signs a JOSE header and a payload, both JSON objects, with the key in a file: *outPtr is the token
 * header.payload.signature. Returns its length, or 0 and an empty *outPtr.
 */
extern int SecSIPIDSignJSONHP(char *headerJSON, char *payloadJSON, char *prvkeyPath, char **outPtr);

/* The same with the PEM text of the key. */
extern int SecSIPIDSignJSONHPPrvKey(
		char *headerJSON, char *payloadJSON, char *prvkeyData, char **outPtr);

/*
 * Makes the value of an Identity header field for a call.
 *
 * origTN, destTN: the calling and the called telephone number; attestVal: A, B or C; origID: empty
 * for a new UUID; x5uVal: URL of the certificate, empty for the option x5u; prvkeyPath: file with
 * the private key in PEM.
 *
 * Returns the length of *outPtr, or a code and an empty *outPtr.
 */
extern int SecSIPIDGetIdentity(char *origTN, char *destTN, char *attestVal, char *origID,
		char *x5uVal, char *prvkeyPath, char **outPtr);

/* The same with the PEM text of the key. */
extern int SecSIPIDGetIdentityPrvKey(char *origTN, char *destTN, char *attestVal, char *origID,
		char *x5uVal, char *prvkeyData, char **outPtr);

/*
 * Checks payload and signature of a token, whatever its JOSE header says.
 *
 * expireVal: seconds that iat may be old; pubkeyPath: path or URL of a public key or certificate;
 * timeoutVal: seconds for a download, at most 60; 0 is 60.
 *
 * Returns 0 if it is valid, or a code.
 */
extern int SecSIPIDCheck(
		char *identityVal, int identityLen, int expireVal, char *pubkeyPath, int timeoutVal);

/*
 * Checks the value of an Identity header field with its parameters: these, the JOSE header (unless
 * the option AttrsVerify is 0), payload and signature. With an empty pubkeyPath the certificate
 * comes from the URL in info. The rest as SecSIPIDCheck.
 */
extern int SecSIPIDCheckFull(
		char *identityVal, int identityLen, int expireVal, char *pubkeyPath, int timeoutVal);

/* The same with the PEM text of a public key or certificate; a token without parameters will do. */
extern int SecSIPIDCheckFullPubKey(
		char *identityVal, int identityLen, int expireVal, char *pubkeyVal, int pubkeyLen);

/*
 * Sets the folder that downloaded certificates are stored in (empty: none), and the seconds that
 * they are kept, there and in memory (0: not at all). Returns 0.
 */
extern int SecSIPIDSetFileCacheOptions(char *dirPath, int expireVal);

/*
 * Downloads a URL: *outPtr is what is there, *outLen its length, without the 0 that is put behind
 * it. Returns 0, or a code, NULL and 0.
 */
extern int SecSIPIDGetURLContent(char *urlVal, int timeoutVal, char **outPtr, int *outLen);

/*
 * Options, for the whole process. Strings: CacheDirPath, CertCAFile, CertCAInter, CertCRLFile, x5u.
 * Numbers: CacheExpires, CertVerify, AttrsVerify. Each function that sets returns 0, or -1 for an
 * option that is unknown or of the other kind and for a value that it can't have; nothing is
 * changed then.
 */
extern int SecSIPIDOptSetS(char *optName, char *optVal);
extern int SecSIPIDOptSetN(char *optName, int optVal);

/* The value of a number, or -1. */
extern int SecSIPIDOptGetN(char *optName);

/* Sets any option from "name=value". */
extern int SecSIPIDOptSetV(char *optNameVal);

#ifdef __cplusplus
}
#endif

#endif

// Package oidcextension is the authenticator "oidc": clients bring a JSON Web
// Token that an OpenID Connect issuer has signed.
//
//	authorization: Bearer eyJ… ──► whose? ──► keys of that issuer ──► signature, issuer,
//	                                 │            ▲     │unknown      audience, expiry
//	                              iss claim       │     ▼                  │
//	                                              └── refresher            ▼
//	                                     discovery + JWKS, in the      Identity
//	                                     background, never twice
//	                                     within refreshAfter
//
// Each provider has one goroutine that fetches the issuer's keys: at the start,
// every hour, and when a token names a key that is not among them. Requests never
// fetch anything; one that meets an unknown key waits for the goroutine for a
// moment, and is told to come back if there is no answer yet. An issuer that is
// down therefore costs new keys, not data and not the process.
//
// The one trap: which algorithms are right is the issuer's word, never the
// token's. Only asymmetric ones are taken (go-oidc's list), so that no public key
// can pass for a shared secret, and "none" is none of them.
package oidcextension

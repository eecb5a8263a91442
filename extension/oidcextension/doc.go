// Package oidcextension is the authenticator "oidc": clients send a JSON Web
// Token that is signed by an OpenID Connect issuer.
//
//	authorization: Bearer eyJ… ──► issuer ──► keys of that issuer ──► signature, issuer,
//	                                 │            ▲     │unknown      audience, expiry
//	                              iss claim       │     ▼                  │
//	                                              └── refresher            ▼
//	                                     discovery + JWKS, in the      Identity
//	                                     background, never twice
//	                                     within refreshAfter
//
// Each provider has one goroutine that fetches the issuer's keys: at the start,
// every hour, and when a token has an unknown key id. Requests never fetch
// anything; a request with an unknown key id waits a short time for the
// goroutine, and gets a retryable error if there is no result yet. So if an
// issuer is down, only tokens with new keys are affected.
//
// The one trap: the issuer determines the allowed algorithms, never the token.
// Only asymmetric ones are allowed (go-oidc's list, which does not contain
// "none"), so that a public key cannot be used as a shared secret.
package oidcextension

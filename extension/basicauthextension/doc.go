// Package basicauthextension is the authenticator "basicauth": clients send a
// user and a password (RFC 7617), which are checked against htpasswd lines.
//
//	authorization: Basic dXNlcjpwYXNz
//	        │
//	        ▼            cached                          one at a time
//	 user, password ─► HMAC known as good? ─no─► a slot ─► bcrypt ─► good: cached
//	                     │yes       bad?│yes        │full              bad: cached
//	                     ▼              ▼           ▼
//	                  Identity       refused     "try again"
//
// A bcrypt hash costs some 50 ms of CPU, on purpose. Therefore a correct password
// is cached until the file changes, as a keyed hash with a random key of this
// process; and only a few passwords are hashed at a time, whatever clients send.
//
// The one trap: checking an unknown user must take as long as checking a known
// one, or user names can be guessed. Every path through verify has the same
// steps.
package basicauthextension

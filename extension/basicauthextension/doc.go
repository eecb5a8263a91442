// Package basicauthextension is the authenticator "basicauth": clients bring a
// user and a password (RFC 7617), which are looked up among htpasswd lines.
//
//	authorization: Basic dXNlcjpwYXNz
//	        │
//	        ▼            cached                          one at a time
//	 user, password ─► HMAC known as good? ─no─► a slot ─► bcrypt ─► good: remembered
//	                     │yes       bad?│yes        │full              bad: remembered
//	                     ▼              ▼           ▼
//	                  Identity       refused     "try again"
//
// A bcrypt hash costs some 50 ms of CPU, on purpose. So a password that was right
// once is remembered, as a keyed hash under a key that this process made up, until
// the file changes; and few are hashed at a time, whatever unknown clients send.
//
// The one trap: a user that does not exist must cost what one costs that does,
// or names can be guessed. Every way out of verify goes through the same steps.
package basicauthextension

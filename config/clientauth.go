package config

// ClientAuth names the extension that adds credentials to a client's requests. The
// component that has the client looks it up.
type ClientAuth struct {
	// Authenticator is the id of an extension.
	Authenticator string `yaml:"authenticator"`
}

// Validate checks the section "auth".
func (c *ClientAuth) Validate() error {
	if c.Authenticator == "" {
		return Atf("authenticator", "expected the id of an extension, such as bearertokenauth")
	}
	return nil
}

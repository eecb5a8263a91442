package config

// Unexported names for the tests in package config_test.
var (
	Hint           = ListenOptions{}.hint
	RestrictSocket = restrictSocket
	ErrServerPair  = errServerPair
)

const ClientCAEvery = clientCAEvery

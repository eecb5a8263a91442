package config

// Inner parts for the tests in package config_test.
var (
	Hint           = hint
	RestrictSocket = restrictSocket
	ErrServerPair  = errServerPair
)

const ClientCAEvery = clientCAEvery

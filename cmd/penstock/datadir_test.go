package main

import "testing"

func TestDataDirectory(t *testing.T) {
	for _, c := range []struct {
		flag, env, want string
		optional        bool
	}{
		{"", "", "penstock-data", true},
		{"", "/var/lib/penstock", "/var/lib/penstock", true},
		{"", "/var/lib/a:/var/lib/b", "/var/lib/a", true},
		{"here", "/var/lib/penstock", "here", false},
		{"here", "", "here", false},
	} {
		t.Setenv("STATE_DIRECTORY", c.env)
		a := &app{dataDir: c.flag}
		if dir, optional := a.dataDirectory(); dir != c.want || optional != c.optional {
			t.Errorf("--data-dir %q, STATE_DIRECTORY %q: %q, %t, want %q, %t", c.flag, c.env, dir, optional, c.want, c.optional)
		}
	}
}

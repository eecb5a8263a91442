package component

import "testing"

func TestLevels(t *testing.T) {
	var zero Level
	if zero != LevelNormal || (Settings{}).MetricsLevel != LevelNormal {
		t.Error("the zero value is not normal")
	}
	all := []Level{LevelNone, LevelBasic, LevelNormal, LevelDetailed}
	for i, name := range []string{"none", "basic", "normal", "detailed"} {
		l, ok := LevelByName(name)
		if !ok || l != all[i] || l.String() != name {
			t.Errorf("%s is %v, %v", name, l, ok)
		}
		if i > 0 && all[i] <= all[i-1] {
			t.Errorf("%s is not above %s", all[i], all[i-1])
		}
	}
	if l, ok := LevelByName("Normal"); ok || l != LevelNormal {
		t.Errorf("Normal is %v, %v", l, ok)
	}
	if s := Level(9).String(); s != "unknown level" {
		t.Error(s)
	}
}

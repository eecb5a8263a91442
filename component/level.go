package component

// A Level says how much a service measures of itself: the key
// service.telemetry.metrics.level. Levels are ordered. The zero value is
// LevelNormal.
type Level int8

// The levels.
const (
	LevelNone     Level = iota - 2 // nothing
	LevelBasic                     // the items of receivers, processors and exporters
	LevelNormal                    // requests and attempts, too
	LevelDetailed                  // durations and sizes, formats and causes, too
)

var levelNames = [...]string{"none", "basic", "normal", "detailed"}

// String returns the level as a configuration has it.
func (l Level) String() string {
	if l < LevelNone || l > LevelDetailed {
		return "unknown level"
	}
	return levelNames[l-LevelNone]
}

// LevelByName returns the level that a configuration calls name.
func LevelByName(name string) (Level, bool) {
	for i, n := range levelNames {
		if n == name {
			return LevelNone + Level(i), true
		}
	}
	return LevelNormal, false
}

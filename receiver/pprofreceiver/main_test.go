package pprofreceiver

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

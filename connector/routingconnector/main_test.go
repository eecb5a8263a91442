package routingconnector

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

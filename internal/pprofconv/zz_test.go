package pprofconv
import ("testing";"math/rand/v2";"os";"time";"bytes")
func TestZZ(t *testing.T) {
	b, _ := os.ReadFile("testdata/oncpu-010.binpb")
	rng := rand.New(rand.NewPCG(1,1))
	start := time.Now(); n:=0
	for time.Since(start) < 5*time.Second {
		c := bytes.Clone(b)
		for range 1+rng.IntN(4) { c[rng.IntN(len(c))] = byte(rng.IntN(256)) }
		s := time.Now()
		checkAny(t, c)
		n++
		if d := time.Since(s); d > 200*time.Millisecond { t.Log(d) }
	}
	t.Log(n)
}

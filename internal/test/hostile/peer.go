package hostile

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
)

// serverLetGo reports whether the server's end of a connection on this machine is
// closed, if the kernel shows it (known). A client that reads nothing cannot see
// it: the end of the connection is queued behind the data that the client has not
// read, and after half a minute the kernel retries rarely.
func serverLetGo(c net.Conn) (gone, known bool) {
	mine, ok := c.LocalAddr().(*net.TCPAddr)
	theirs, ok2 := c.RemoteAddr().(*net.TCPAddr)
	f, err := os.Open("/proc/net/tcp")
	if err != nil || !ok || !ok2 {
		return false, false
	}
	defer f.Close()
	from, to := kernelAddr(theirs), kernelAddr(mine)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// sl local_address rem_address st …
		if w := strings.Fields(lines.Text()); len(w) > 3 && w[1] == from && w[2] == to {
			const established, closeWait = "01", "08"
			return w[3] != established && w[3] != closeWait, true
		}
	}
	return true, lines.Err() == nil
}

// kernelAddr formats an address as /proc/net/tcp does: the bytes of the IPv4
// address as a number in the byte order of this machine.
func kernelAddr(a *net.TCPAddr) string {
	ip := a.IP.To4()
	if ip == nil {
		return ""
	}
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip), a.Port)
}

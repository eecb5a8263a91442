package badinput_test
import ("testing";"fmt";"os";"github.com/penstock-telemetry/penstock/internal/badinput")
func TestDump(t *testing.T){ 
 cases,err:=badinput.Corpus(); _ = fmt.Sprint; if err!=nil{t.Fatal(err)}
 opts,_:=receiver(t)
 res,err:=badinput.Run(t.Context(),cases,opts); if err!=nil{t.Fatal(err)}
 f,_:=os.Create("/tmp/bad_report.txt"); badinput.Report(f,res); f.Close(); slow(res)
}
func slow(res []badinput.Result){ m:=map[string]float64{}; f,_:=os.Create("/tmp/bad_slow.txt"); defer f.Close(); for _,r:=range res{ m[r.Family]+=r.Took; if r.Took>0.03{fmt.Fprintf(f,"%.3f %s %s\n",r.Took,r.ID,r.Got)}}; fmt.Println(m)}

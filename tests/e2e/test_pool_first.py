from backends import Backends
from nginx import Crowd, Nginx, wait_for
from segment import Segment

def test_first(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({("primary","web",0,"round_robin"): [(backends[0], "weight=3"), backends[1]], ("backup","web",1,"round_robin"): [backends[2]]})
        with Nginx(folder, f"upstream web {{ upstream_health_shm {folder}/health.shm; }} log_format x '$upstream_addr $status'; access_log {folder}/access.log x;") as nginx, Crowd(nginx) as crowd:
            assert crowd.get(400) == {200: 400}
            print(backends.counts())
            segment.set("primary/a", "down")
            segment.set("primary/b", "down")
            backends.reset()
            assert crowd.get(400) == {200: 400}
            assert backends.counts() == [0, 0, 400]
            segment.set("primary/b", "up")
            backends.reset()
            assert crowd.get(400) == {200: 400}
            assert backends.counts() == [0, 400, 0]
            print(open(folder/"access.log").read()[-200:])
        print(nginx.describe())

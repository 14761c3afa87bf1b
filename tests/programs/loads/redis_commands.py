# SPDX-License-Identifier: BSL-1.0
"""redis_commands.py N WRITE READ EXPECTED: N commands in Redis's protocol, reading commands as text, and what a server
must answer, from a model of the data in this script."""
import random
import sys


def wire(*words):
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def main():
    count, write_name, read_name, expected_name = int(sys.argv[1]), *sys.argv[2:]
    chance = random.Random(7)
    model = {}
    commands = []

    def send(*words):
        commands.append(wire(*words))

    def value():
        return f"{chance.getrandbits(64):016x}" * chance.choice([1, 1, 2, 3, 5, 9, 40, 200])

    for step in range(count):
        kind = chance.choice(["string", "string", "hash", "list", "set", "sorted"])
        key = f"{kind}:{chance.randrange(count // 40)}"
        if chance.random() < 0.04:
            model.pop(key, None)
            send("DEL", key)
        elif kind == "string" and chance.random() < 0.6:
            model[key] = value()
            send("SET", key, model[key])
        elif kind == "string":
            model[key] = model.get(key, "") + (more := value())
            send("APPEND", key, more)
        elif kind == "hash":
            field = f"field{chance.randrange(60)}"
            model.setdefault(key, {})[field] = text = value()
            send("HSET", key, field, text)
        elif kind == "list" and len(model.get(key, [])) > 3 and chance.random() < 0.3:
            model[key].pop(0)
            send("LPOP", key)
        elif kind == "list":
            model.setdefault(key, []).append(text := value())
            send("RPUSH", key, text)
        elif kind == "set":
            model.setdefault(key, set()).add(text := value()[:40])
            send("SADD", key, text)
        else:
            member, score = f"member{chance.randrange(200)}", chance.randrange(10**6)
            model.setdefault(key, {})[member] = score
            send("ZADD", key, score, member)
    reads, answers = [], []
    for key, held in sorted(model.items()):
        if isinstance(held, str):
            reads.append(f"GET {key}")
            answers.append(held)
        elif isinstance(held, list):
            reads.append(f"LRANGE {key} 0 -1")
            answers += held
        elif isinstance(held, set):
            reads.append(f"SORT {key} ALPHA")
            answers += sorted(held)
        elif key.startswith("hash"):
            for field in sorted(held):
                reads.append(f"HGET {key} {field}")
                answers.append(held[field])
        else:
            reads.append(f"ZRANGE {key} 0 -1")
            answers += sorted(held, key=lambda member: (held[member], member))
    with open(write_name, "wb") as file:
        file.writelines(commands)
    with open(read_name, "w") as file:
        file.writelines(line + "\n" for line in reads)
    with open(expected_name, "w") as file:
        file.writelines(line + "\n" for line in answers)


if __name__ == "__main__":
    main()

"""Texts of every kind that reaches a model: sentences that were written for this, and data that dice make."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable
from typing import Final, TypeAlias

SIZE: Final = 6_000
"""Characters of a text, about."""

Dice: TypeAlias = random.Random

PROSE: Final[dict[str, tuple[str, ...]]] = {
    "English, manual": (
        "Before you connect the pump, make sure that both valves are closed and that the tank holds enough water.",
        "The service reads its settings once at start; a change of the file takes effect after the next restart.",
        "If the lamp keeps blinking after a minute, hold the button for five seconds and pair the device again.",
        "Each backup contains every table, but not the indexes, which are rebuilt when the backup is restored.",
        "Administrators may raise this limit, although more than two hundred connections rarely help in practice.",
        "See the chapter on maintenance for the intervals at which the filter has to be cleaned or replaced.",
    ),
    "English, chat": (
        "hi, my parcel says delivered but there's nothing here?? can you have a look pls",
        "ok thanks! and one more thing, how do i change the email on my account",
        "no that's not what i meant, i want the blue one in size M and not two of them lol",
        "sure, give me a sec, i'm on my phone and the app keeps crashing",
        "it worked!! thank you so much, you saved my evening :)",
        "hmm it still says 'payment declined', i tried both cards and paypal too",
    ),
    "English, contract": (
        "The Supplier shall deliver the Goods to the Premises no later than thirty (30) days after the Effective Date.",
        "Neither party shall be liable for any delay that is caused by circumstances beyond its reasonable control.",
        "Notwithstanding Clause 7.2, the Customer may withhold payment of any amount that it disputes in good faith.",
        "This Agreement, together with its Schedules, sets out the whole understanding between the parties hereto.",
        "Any notice under this Clause must be given in writing and is deemed received on the second business day.",
    ),
    "Chinese, prose": (
        "昨天晚上下了一场大雨，院子里的石板路到今天早上还没有干。",
        "他把旧书一本一本地擦干净，按照年代重新放回书架，整整花了一个下午。",
        "这家小店的老板记得每一位常客的口味，所以大家都愿意多走几步路过来。",
        "如果天气允许，我们打算周末沿着河边骑车，到上游的村子里吃午饭。",
        "会议的结果比预想的要好，不过预算部分还需要财务部门再确认一遍。",
    ),
    "Chinese, interface": (
        "保存设置",
        "确定要删除此文件吗？",
        "网络连接失败，请稍后重试",
        "上传进度：{percent}%",
        "请输入 6 位验证码",
        "最近使用的项目",
        "登录已过期，请重新登录",
    ),
    "Japanese": (
        "駅前の喫茶店は朝七時に開くので、出勤前にコーヒーを飲む人でいつもにぎわっています。",
        "資料は明日の午前中までに送っていただければ、午後の打ち合わせに間に合います。",
        "祖母が育てた梅の木は、今年もたくさんの実をつけました。",
        "このボタンを長押しすると、画面の明るさを三段階で切り替えることができます。",
        "雨が降り出したので、子どもたちは慌てて軒下に駆け込んだ。",
    ),
    "Korean": (
        "지난주에 주문한 책상이 아직 도착하지 않아서 고객센터에 문의를 남겼습니다.",
        "봄이 되면 강가를 따라 벚꽃이 피고 주말마다 사람들이 산책을 나온다.",
        "회의실 예약은 하루 전까지 취소할 수 있으며 그 이후에는 담당자에게 연락해야 합니다.",
        "그는 낡은 자전거를 고쳐서 동생에게 생일 선물로 주었다.",
        "새 버전에서는 검색 속도가 빨라지고 화면 구성이 조금 바뀌었습니다.",
    ),
    "Russian": (
        "Старый мост закрыли на ремонт, поэтому автобусы теперь ходят по другой улице.",
        "Если вы забыли пароль, нажмите на ссылку под формой и проверьте свою почту.",
        "Осенью в саду пахнет яблоками, а по утрам на траве уже лежит иней.",
        "Договор вступает в силу с момента подписания и действует в течение одного года.",
        "Она долго искала ключи, а они всё это время лежали в кармане пальто.",
    ),
    "German": (
        "Der Zug nach Süden fällt heute aus, Reisende werden gebeten, den Ersatzbus am Nordausgang zu benutzen.",
        "Bitte prüfen Sie vor dem Einschalten, ob die Netzspannung mit der Angabe auf dem Typenschild übereinstimmt.",
        "Im Garten stehen drei alte Birnbäume, deren Früchte erst im Oktober reif werden.",
        "Die Rechnungsprüfung hat ergeben, dass zwei Lieferungen doppelt verbucht worden sind.",
        "Wer zuerst kommt, darf sich einen Platz am Fenster aussuchen.",
    ),
    "French": (
        "Le marché s'installe chaque mardi sur la place, juste derrière l'église et la vieille fontaine.",
        "Veuillez vérifier que l'appareil est éteint avant de retirer le couvercle de la batterie.",
        "Elle a passé l'été à repeindre les volets de la maison que son grand-père avait construite.",
        "Toute demande de remboursement doit être déposée dans les quatorze jours suivant la réception du colis.",
        "On n'a jamais su pourquoi l'horloge de la gare s'était arrêtée cette nuit-là.",
    ),
    "Spanish": (
        "La biblioteca cierra los lunes por la mañana, pero se pueden devolver los libros en el buzón de la entrada.",
        "Cuando termine la descarga, abra el archivo y siga las instrucciones que aparecen en la pantalla.",
        "Mi vecina cultiva tomates en el balcón y siempre me regala los más grandes.",
        "El pedido fue enviado ayer y debería llegar antes del próximo miércoles.",
        "Nadie esperaba que lloviera tanto en pleno agosto.",
    ),
    "Turkish": (
        "Vapur sisten dolayı yarım saat geç kalktı ama yolcuların çoğu bunu fark etmedi bile.",
        "Şifrenizi değiştirmek için önce telefonunuza gönderilen kodu girmeniz gerekiyor.",
        "Dedemin bahçesindeki incir ağacı bu yıl her zamankinden daha çok meyve verdi.",
        "Toplantının gündemi katılımcılara en geç cuma günü gönderilecektir.",
    ),
    "Arabic": (
        "وصلت الحافلة متأخرة هذا الصباح بسبب أعمال الطرق قرب المدرسة القديمة.",
        "يرجى الاحتفاظ بالإيصال لأنكم ستحتاجون إليه عند استبدال الجهاز.",
        "كانت جدتي تحكي لنا القصص في ليالي الشتاء الطويلة.",
        "يمكن إلغاء الحجز مجاناً حتى يومين قبل موعد السفر.",
    ),
    "Hindi": (
        "बारिश रुकने के बाद बच्चे मैदान में खेलने चले गए।",
        "कृपया अपना पासवर्ड किसी के साथ साझा न करें और समय पर उसे बदलते रहें।",
        "इस बाज़ार में ताज़ी सब्ज़ियाँ सुबह छह बजे से मिलने लगती हैं।",
        "आपका ऑर्डर भेज दिया गया है और तीन दिन में पहुँच जाएगा।",
    ),
    "Thai": (
        "เมื่อวานฝนตกหนักมาก ถนนหน้าบ้านจึงมีน้ำท่วมขังหลายชั่วโมง",
        "กรุณาตรวจสอบที่อยู่จัดส่งก่อนกดยืนยันคำสั่งซื้อ",
        "แม่ค้าในตลาดจำลูกค้าประจำได้ทุกคนและมักจะแถมผลไม้ให้",
        "รถไฟขบวนนี้จะออกจากสถานีเวลาเจ็ดโมงเช้า",
    ),
    "Georgian": (
        "გუშინ მთელი დღე წვიმდა და მდინარე ნაპირებს გადმოსცდა.",
        "გთხოვთ, შეამოწმოთ მისამართი, სანამ შეკვეთას დაადასტურებთ.",
        "ბებიას ეზოში ორი ძველი კაკლის ხე დგას.",
        "მატარებელი დილის შვიდ საათზე გადის ცენტრალური სადგურიდან.",
    ),
    "emoji": ("🎉🎉🥳", "👍🏽👌", "😂🤣😭", "🚀🔥💯", "👩‍💻☕️🐛", "🌧️➡️🌈", "❤️🧡💛", "🤷‍♂️🙈", "🇯🇵🗼🍣"),
    "Markdown": (
        "## Moving to the new cluster\n\n1. Stop the workers: `fleet stop --all`\n2. Copy volumes, **not** caches\n",
        "| step | owner | state |\n|------|-------|-------|\n| dump | Ines | done |\n| load | Omar | waiting |\n",
        "> Note: see [the runbook](https://wiki.example.org/runbook#rollback) before you roll anything back.\n",
        "- [x] ask legal about the retention period\n- [ ] tell support on Monday\n",
    ),
    "Python": (
        (
            "def overdue(loans: list[Loan], today: date) -> list[Loan]:\n"
            '    """Loans that should have come back, oldest first."""\n'
            "    late = [loan for loan in loans if loan.due < today and loan.returned is None]\n"
            "    return sorted(late, key=lambda loan: loan.due)\n"
        ),
        (
            "class Rates:\n    def __init__(self, path: Path) -> None:\n        self.rates: dict[str, Decimal] = {}\n"
            '        for line in path.read_text(encoding="utf-8").splitlines():\n'
            '            code, rate = line.split(";")\n            self.rates[code] = Decimal(rate)\n'
        ),
        (
            "async def fetch_all(urls, limit=8):\n    gate = asyncio.Semaphore(limit)\n\n    async def one(url):\n"
            "        async with gate, session.get(url) as reply:\n            return await reply.json()\n\n"
            "    return await asyncio.gather(*map(one, urls))\n"
        ),
        (
            'if __name__ == "__main__":\n    args = parser.parse_args()\n'
            '    print(f"{len(overdue(load(args.file), date.today()))} overdue")\n'
        ),
    ),
    "TypeScript": (
        (
            "export async function loadCart(userId: string): Promise<Cart | undefined> {\n"
            "  const row = await db.carts.findFirst({ where: { userId, closedAt: null } });\n"
            "  return row ? { ...row, items: JSON.parse(row.items) } : undefined;\n}\n"
        ),
        "const total = useMemo(() => items.reduce((sum, { price, count }) => sum + price * count, 0), [items]);\n",
        'interface Notice {\n  kind: "info" | "warning";\n  text: string;\n  dismiss?: () => void;\n}\n',
        '  return <ul className="notices">{notices.map((n) => <li key={n.text}>{n.text}</li>)}</ul>;\n',
    ),
    "SQL": (
        (
            "SELECT s.name, count(*) AS trips, avg(t.minutes)\nFROM trips t JOIN stations s ON s.id = t.start_id\n"
            "WHERE t.started_at >= now() - interval '30 days'\nGROUP BY s.name HAVING count(*) > 20 ORDER BY 2 DESC;\n"
        ),
        "CREATE TABLE bikes (id bigint PRIMARY KEY, model text NOT NULL, bought date, retired boolean);\n",
        "UPDATE bikes SET retired = true WHERE bought < '2019-01-01' AND id NOT IN (SELECT bike_id FROM repairs);\n",
    ),
    "HTML": (
        '<li class="card"><a href="/recipes/42"><img src="/img/soup-small.jpg" alt="Soup" width="120"></a></li>\n',
        (
            '<form method="post" action="/subscribe"><input type="email" name="mail" required>'
            '<button class="btn btn-primary">Subscribe</button></form>\n'
        ),
        '<p>Serves <strong>four</strong>. Ready in <time datetime="PT35M">35 minutes</time>.</p>\n',
    ),
    "LaTeX": (
        "Let $f\\colon X \\to \\mathbb{R}$ be continuous and let $\\varepsilon > 0$.\n",
        "\\begin{equation}\n  \\int_0^1 x^{n}\\,dx = \\frac{1}{n+1}, \\qquad n \\in \\mathbb{N}_0\n\\end{equation}\n",
        "By Lemma~\\ref{lem:bound}, $\\|u_k\\|_{L^2} \\le C \\sum_{j=1}^{k} 2^{-j}$ for every $k$.\n",
    ),
    "shell": (
        'for f in "$SRC"/*.flac; do ffmpeg -loglevel error -i "$f" -q:a 2 "${f%.flac}.mp3" || exit 1; done\n',
        "find /var/spool/reports -name '*.pdf' -mtime +90 -print0 | xargs -0 rm -f --\n",
        "curl -fsSL https://mirror.example.org/pkg.tar.gz | tar -xz -C /opt --strip-components=1\n",
        'export PATH="$HOME/.local/bin:$PATH"; echo "using $(command -v node)" >&2\n',
    ),
    "YAML": (
        (
            'services:\n  web:\n    image: registry.example.org/shop/web:1.14.2\n    ports:\n      - "8080:80"\n'
            "    environment:\n      LOG_LEVEL: info\n      CACHE_TTL: 300\n    depends_on: [db]\n"
        ),
        "  db:\n    image: postgres:16-alpine\n    volumes:\n      - data:/var/lib/db\n    restart: unless-stopped\n",
    ),
    "stack trace": (
        (
            "Traceback (most recent call last):\n"
            '  File "/srv/app/orders/views.py", line 118, in submit\n    receipt = gateway.charge(order.total, card)\n'
            '  File "/srv/app/payments/gateway.py", line 57, in charge\n    raise No(reply["reason"], reply["code"])\n'
            "payments.gateway.No: [51] insufficient funds\n"
        ),
        (
            '  File "/usr/lib/python3.12/socket.py", line 720, in readinto\n    return self._sock.recv_into(b)\n'
            "TimeoutError: timed out\n"
        ),
    ),
}
"""By kind. What ends in a line break is a line, or several."""

UNSPACED: Final = frozenset({"Chinese, prose", "Japanese"})


def prose(kind: str, dice: Dice) -> str:
    parts = PROSE[kind]
    between = "" if kind in UNSPACED or parts[0].endswith("\n") else "\n" if kind == "Chinese, interface" else " "
    enough = dice.choices(parts, k=SIZE // min(map(len, parts)) + 1)
    return between.join(enough)[:SIZE]


def records(dice: Dice) -> str:
    cities = ("Porto", "Graz", "Lund", "Split", "Turku")
    found = [
        {"id": at, "city": dice.choice(cities), "lat": round(dice.uniform(36, 70), 5), "open": dice.random() < 0.8}
        for at in range(SIZE // 60)
    ]
    return json.dumps(found)


def lockfile(dice: Dice) -> str:
    names = ("left-hand", "tiny-router", "colour-utils", "fast-parse", "event-bus")
    return "\n".join(
        f'    "node_modules/{dice.choice(names)}": {{\n      "version": "{dice.randint(0, 9)}.{at}.1",\n'
        f'      "integrity": "sha512-{base64.b64encode(dice.randbytes(64)).decode()}"\n    }},'
        for at in range(SIZE // 190)
    )


def table(dice: Dice) -> str:
    rows = [f"{at},{dice.randint(10**6, 10**7)},{dice.uniform(0, 500):.2f},2026-0{at % 9 + 1}-14" for at in range(180)]
    return "\n".join(["order,customer,total,date", *rows])


def log(dice: Dice) -> str:
    levels = ("INFO ", "WARN ", "DEBUG")
    return "\n".join(
        f"2026-11-21 14:{at % 60:02}:{dice.randint(0, 59):02},{dice.randint(0, 999):03} {dice.choice(levels)} "
        f"[http-{dice.randint(1, 16)}] c.e.shop.CartService - saved cart {dice.randint(10**5, 10**6)} in {at} ms"
        for at in range(SIZE // 100)
    )


def figures(dice: Dice) -> str:
    return "\n".join("\t".join(f"{dice.gauss(0, 40):.4f}" for _ in range(6)) for _ in range(SIZE // 50))


def letters(dice: Dice) -> str:
    """Passwords, keys, names that machines give."""
    return "\n".join("".join(dice.choices(string.ascii_letters + string.digits, k=24)) for _ in range(SIZE // 25))


DATA: Final[dict[str, Callable[[Dice], str]]] = {
    "JSON records": records,
    "lockfile": lockfile,
    "CSV": table,
    "log": log,
    "number table": figures,
    "UUIDs": lambda dice: "\n".join(str(uuid.UUID(int=dice.getrandbits(128))) for _ in range(SIZE // 37)),
    "hex": lambda dice: dice.randbytes(SIZE // 2).hex(),
    "base64": lambda dice: base64.b64encode(dice.randbytes(SIZE * 3 // 4)).decode(),
    "random letters": letters,
}


def texts() -> dict[str, str]:
    """One of each kind, the same on every machine."""
    written = {kind: prose(kind, random.Random(kind)) for kind in PROSE}
    return written | {kind: make(random.Random(kind)) for kind, make in DATA.items()}

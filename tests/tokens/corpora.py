"""A little of everything that reaches a model, made up so that it is the same everywhere."""

from __future__ import annotations

import base64
import json
import random
import uuid
from typing import Final

_SENTENCES: Final = {
    "english": "The meeting was moved to Thursday because two reviewers asked for more time to read the report. ",
    "chat": "hey, can you check whether my refund went through? i returned it last week and nobody answered :( ",
    "german": "Die Besprechung wurde auf Donnerstag verschoben, weil zwei Prüfer mehr Zeit zum Lesen brauchten. ",
    "french": "La réunion a été déplacée à jeudi, car deux relecteurs ont demandé plus de temps pour le rapport. ",
    "spanish": "La reunión se trasladó al jueves porque dos revisores pidieron más tiempo para leer el informe. ",
    "turkish": "Toplantı perşembe gününe alındı, çünkü iki kişi raporu okumak için daha fazla zaman istedi. ",
    "chinese": "会议改到星期四，因为两位审稿人需要更多时间阅读报告。我们会在下周公布最终结果。",
    "japanese": "会議は木曜日に変更されました。二人の査読者が報告書を読む時間を必要としたためです。",
    "korean": "두 명의 검토자가 보고서를 읽을 시간을 더 요청했기 때문에 회의는 목요일로 변경되었습니다. ",
    "russian": "Встречу перенесли на четверг, потому что двое рецензентов попросили больше времени на отчёт. ",
    "code": "    if user is not None and user.is_active:\n        return render(request, 'home.html', user=user)\n",
    "sql": "SELECT o.id, o.total FROM orders AS o JOIN customers AS c ON c.id = o.customer_id WHERE o.total > 100;\n",
    "html": '<div class="row"><a href="https://example.com/orders?page=2">Next</a><span id="n">17</span></div>\n',
}


def corpora(size: int = 6_000) -> dict[str, str]:
    """Texts of about `size` characters, by kind."""
    dice = random.Random(7)
    made = {name: sentence * (size // len(sentence)) for name, sentence in _SENTENCES.items()}
    records = [
        {"id": at, "sku": f"A-{dice.randint(1_000, 9_999)}", "price": dice.randint(1, 9_999) / 100, "ok": at % 3 == 0}
        for at in range(size // 60)
    ]
    made["json"] = json.dumps(records)
    made["csv"] = "\n".join(f"{at},{dice.randint(0, 10**6)},{dice.random():.4f},2026-11-2{at % 9}" for at in range(300))
    made["log"] = "\n".join(
        f"2026-11-21T09:{at % 60:02}:07.{dice.randint(100, 999)}Z INFO [worker-{at % 8}] status=200 took {at} ms"
        for at in range(size // 70)
    )
    made["uuids"] = "\n".join(str(uuid.UUID(int=dice.getrandbits(128))) for _ in range(size // 37))
    made["hex"] = dice.randbytes(size // 2).hex()
    made["base64"] = base64.b64encode(dice.randbytes(size * 3 // 4)).decode()
    made["figures"] = " ".join(f"{dice.gauss(0, 1):.6f}" for _ in range(size // 9))
    return made

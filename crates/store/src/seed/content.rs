//! A bakery, in the languages its customers write.
use recado_domain::Direction::{self, Inbound, Outbound};

use crate::{owners::DEFAULT, plans, users::Role};

/// Id, name, plan.
pub(super) const OWNERS: [(&str, &str, &str); 3] = [
    (DEFAULT, "Padaria Recado", plans::UNLIMITED),
    ("padaria-aurora", "Padaria Aurora", plans::PRO),
    ("cafe-da-esquina", "Café da Esquina", plans::FREE),
];

/// Owner, e-mail address, name, role.
pub(super) const USERS: [(&str, &str, &str, Role); 4] = [
    (DEFAULT, "ana@padaria.example", "Ana Souza", Role::Admin),
    (DEFAULT, "bruno@padaria.example", "Bruno Lima", Role::Agent),
    (
        "padaria-aurora",
        "clara@aurora.example",
        "Clara Dias",
        Role::Admin,
    ),
    (
        "cafe-da-esquina",
        "davi@esquina.example",
        "Davi Rocha",
        Role::Viewer,
    ),
];

/// Owner, SID, token, number. The account of `default` is the one in the environment.
pub(super) const ACCOUNTS: [(&str, &str, &str, &str); 2] = [
    (
        "padaria-aurora",
        "AC5eed0000000000000000000000000001",
        "5eed0000000000000000000000000001",
        "whatsapp:+551130000001",
    ),
    (
        "cafe-da-esquina",
        "AC5eed0000000000000000000000000002",
        "5eed0000000000000000000000000002",
        "whatsapp:+551130000002",
    ),
];

pub(super) const OURS: &str = "whatsapp:+14155238886";
pub(super) const THEIRS: &str = "whatsapp:+5511987654321";
pub(super) const CONTACT: &str = "Marina";

pub(super) const TALK: [(Direction, &str); 6] = [
    (Inbound, "Bom dia! Vocês abrem no domingo?"),
    (Outbound, "Bom dia! Aos domingos abrimos das 7h às 13h."),
    (Inbound, "E dá para encomendar um bolo de cenoura para sábado?"),
    (
        Outbound,
        "Dá, sim! Encomendas com 48 horas de antecedência. O de 2 kg serve 20 pessoas e custa R$ 120.",
    ),
    (Inbound, "Perfeito, quero um de 2 kg com cobertura de chocolate."),
    (
        Outbound,
        "Anotado: um bolo de cenoura de 2 kg, cobertura de chocolate, para sábado. A que horas você retira?",
    ),
];

type Question = (&'static str, &'static str, &'static [&'static str]);

pub(super) const QUESTIONS: [Question; 10] = [
    (
        "Qual é o horário de funcionamento?",
        "Abrimos de segunda a sábado das 6h às 20h, e aos domingos das 7h às 13h.",
        &[
            "horário",
            "horario",
            "abre",
            "abrem",
            "aberto",
            "fecha",
            "fecham",
            "domingo",
            "funcionamento",
        ],
    ),
    (
        "Onde fica a padaria?",
        "Estamos na Rua das Flores, 120, Centro, ao lado da praça. Há estacionamento na porta.",
        &[
            "endereço",
            "endereco",
            "onde",
            "fica",
            "localização",
            "rua",
            "chegar",
        ],
    ),
    (
        "Como encomendo um bolo?",
        "Encomende com 48 horas de antecedência: diga o sabor, o peso e o dia. Um bolo de 2 kg serve 20 pessoas e custa R$ 120.",
        &["bolo", "bolos", "encomenda", "encomendar", "aniversário", "torta"],
    ),
    (
        "Vocês entregam?",
        "Entregamos no centro e nos bairros vizinhos, das 8h às 18h. A taxa é R$ 8, grátis acima de R$ 80.",
        &["entrega", "entregam", "entregar", "delivery", "taxa", "frete"],
    ),
    (
        "Quais são as formas de pagamento?",
        "Aceitamos Pix, cartão de débito e crédito, vale-refeição e dinheiro.",
        &[
            "pagamento",
            "pagar",
            "pix",
            "cartão",
            "cartao",
            "crédito",
            "débito",
            "vale",
            "dinheiro",
        ],
    ),
    (
        "Têm opções sem glúten ou veganas?",
        "Temos pão de queijo, que não leva trigo, e bolo vegano de banana. A cozinha é a mesma, então pode haver traços de glúten e leite.",
        &["glúten", "gluten", "vegano", "vegana", "lactose", "alergia"],
    ),
    (
        "What are your opening hours?",
        "We are open Monday to Saturday from 6 am to 8 pm, and on Sundays from 7 am to 1 pm.",
        &["hours", "open", "close", "closing", "opening", "sunday", "when"],
    ),
    (
        "How do I order a cake?",
        "Order 48 hours ahead and tell us flavour, weight and day. A 2 kg cake serves 20 people and costs R$ 120.",
        &["cake", "cakes", "order", "birthday", "pie"],
    ),
    (
        "Do you deliver?",
        "We deliver downtown and nearby from 8 am to 6 pm, for R$ 8, free above R$ 80.",
        &["deliver", "delivery", "shipping", "fee"],
    ),
    (
        "How can I pay?",
        "Pix, debit and credit card, meal vouchers and cash.",
        &["pay", "payment", "card", "cash", "credit"],
    ),
];

type Specialist = (&'static str, &'static [&'static str], &'static str);

pub(super) const SPECIALISTS: [Specialist; 5] = [
    (
        "finance",
        &[
            "boleto",
            "cobrança",
            "fatura",
            "nota fiscal",
            "pagamento",
            "pagar",
            "pix",
            "reembolso",
            "valor",
            "invoice",
            "payment",
            "refund",
        ],
        "You answer questions about prices, payment, invoices and refunds. Never promise a refund: hand over to a person.",
    ),
    (
        "sales",
        &[
            "bolo",
            "cardápio",
            "comprar",
            "encomenda",
            "encomendar",
            "orçamento",
            "pedido",
            "preço",
            "quanto custa",
            "buy",
            "cake",
            "menu",
            "order",
            "price",
        ],
        "You help contacts to choose and order. Say the price, and confirm product, quantity, day and name.",
    ),
    (
        "support",
        &[
            "ajuda",
            "atrasado",
            "errado",
            "problema",
            "queixa",
            "reclamação",
            "reclamar",
            "complaint",
            "late",
            "problem",
            "wrong",
        ],
        "You listen to what went wrong with an order, say that you are sorry once, and solve it or hand over to a person.",
    ),
    (
        "scheduling",
        &[
            "agendar",
            "agenda",
            "horário",
            "marcar",
            "remarcar",
            "reserva",
            "reservar",
            "retirar",
            "appointment",
            "book",
            "pickup",
            "schedule",
        ],
        "You arrange when an order is picked up or delivered, within opening hours, and repeat day and hour.",
    ),
    (
        "general",
        &[],
        "You answer everything else about the bakery, briefly and kindly, in the contact's language.",
    ),
];
